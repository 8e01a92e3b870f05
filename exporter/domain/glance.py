"""Columns that are only looked at, to find out whether they matter: nothing in them makes a row unfit."""

from typing import Final

MAX_CHARACTERS: Final = 200
"""So much of a text is looked at; what matters is a word or a moment."""
NO_TEXT: Final = "{…}"
"""Stands for a value that has no text."""


def glance(text: str | None) -> str:
    """The beginning of a text; None is one that has no text."""
    return NO_TEXT if text is None else text[:MAX_CHARACTERS]
