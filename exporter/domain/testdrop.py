"""A test drop: an empty blob that shows whether the app is told of what lands, and that never is a drop.

Its name lies in no segment's folder and is hidden, so it is neither a file nor a marker of any segment,
whatever the segments are called.
"""

import re
from typing import Final

_PREFIX: Final = ".exporter-test-"
_NAME: Final = re.compile(rf"{re.escape(_PREFIX)}(?P<token>[0-9a-f]{{12}})", re.ASCII)


def name_for(token: str) -> str:
    """The blob in the landing container for a token of 12 hex digits."""
    return f"{_PREFIX}{token}"


def token_in(blob: str) -> str | None:
    """The token of a test drop, None for any other blob."""
    match = _NAME.fullmatch(blob)
    return match["token"] if match else None
