"""How names from outside appear in messages to people: harmless, short, recognisable."""

from collections.abc import Sequence

MAX_SHOWN = 200


def escaped(text: str, keep: str = "") -> str:
    r"""`text` with what a terminal would obey or not show escaped (`\x1b`), but what is to `keep`."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable() or character in keep
        else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def shown(name: str, most: int = MAX_SHOWN) -> str:
    r"""`name` with what is invisible escaped (`\u202e`); over `most` characters its middle is left out."""
    visible = escaped(name)
    if len(visible) <= most:
        return visible
    half = most // 2
    return f"{visible[:half]}…{visible[-half:]}"


def shown_list(names: Sequence[str], most: int = 30) -> str:
    """Names in quotes with commas between; of more than `most` the first ones and how many follow."""
    listed = ", ".join(f"'{shown(name, 60)}'" for name in names[:most])
    return listed if len(names) <= most else f"{listed} and {len(names) - most} more"
