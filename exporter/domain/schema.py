"""Stored documents and messages carry a schema number; those of a newer version are left to it.

While a deployment is under way, instances of both versions are at work.
"""

from exporter.errors import NewerVersionError


def check_schema(what: str, found: object, known: int) -> None:
    """Raises NewerVersionError for a greater number than the known one, ValueError for any other."""
    if found == known:
        return
    said = f"{what} schema {found} is not known here (known: {known})"
    if isinstance(found, int) and found > known:
        raise NewerVersionError(said)
    raise ValueError(said)
