"""A file of a drop, as the readers take it: its bytes from the beginning, or from anywhere."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import BinaryIO


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that may be read more than once; every reading gives the bytes of the same version."""

    name: str
    """The blob in the landing container, or the name of a local file."""
    blocks: Callable[[], Iterable[bytes]]
    """The bytes from the beginning, in blocks cut anywhere."""
    open: Callable[[], BinaryIO]
    """The bytes by position, for formats that have their directory at the end; whoever opens it closes it."""
