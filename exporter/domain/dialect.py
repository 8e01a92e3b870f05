"""A dialect: how the files of a drop are written, as far as it is declared; the rest is found out."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

Format = Literal["csv", "jsonl", "parquet"]
Encoding = Literal["utf-8", "utf-16", "latin-1", "windows-1252"]
Quote = Literal['"', "'", "none"]
Escape = Literal["double", "backslash"]

DELIMITERS_BY_WORD: Final[Mapping[str, str]] = MappingProxyType(
    {"tab": "\t", "comma": ",", "semicolon": ";", "bar": "|"}
)
"""Delimiters that may be written as a word, since a file shows some of them badly."""


_CANNOT_DELIMIT: Final = re.compile(r"""[^\W_]|[^\S\t]|["'\\\x00]""")


def can_delimit(character: str) -> bool:
    """Whether a character may stand between values."""
    return not _CANNOT_DELIMIT.match(character)


def _delimiter_sign(value: object) -> object:
    """The sign that a word stands for. Raises ValueError for any other text that can't delimit."""
    if not isinstance(value, str):
        return value
    if len(value) == 1:
        if not can_delimit(value):
            raise ValueError(
                "should be a sign that values seldom hold, not a letter, a digit, a quote, a blank or "
                f"the end of a line (a word may stand for it: {', '.join(DELIMITERS_BY_WORD)})"
            )
        return value
    if value not in DELIMITERS_BY_WORD:
        words = ", ".join(DELIMITERS_BY_WORD)
        raise ValueError(f'should be one character (a tab is "\\t"), or one of the words {words}')
    return DELIMITERS_BY_WORD[value]


class Dialect(BaseModel):
    """What is declared about files; what is None is found out from each file, and told."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    format: Format | None = None
    encoding: Encoding | None = None
    """Of a text without a byte order mark; a mark always wins. None: UTF-8."""
    delimiter: Annotated[
        Annotated[str, Field(min_length=1, max_length=1)] | None, BeforeValidator(_delimiter_sign)
    ] = None
    quote: Quote | None = None
    """What values with delimiters in them stand in. None: double quotes."""
    escape: Escape | None = None
    """How a quote within quotes is written: doubled, or behind a backslash."""
    null: Annotated[str, Field(max_length=50)] | None = None
    """The text that stands for no value, such as `\\N`. None: there is none."""
    header: bool | None = None
    """Whether the first line of each file names the columns."""
    columns: Annotated[tuple[str, ...], Field(strict=False)] = ()
    """The names of the columns in their order, for files without a header."""

    def under(self, declared: "Dialect") -> "Dialect":
        """This dialect, with what somebody has declared in its place."""
        return self.model_copy(update=declared.model_dump(exclude_defaults=True))


UNDECLARED: Final = Dialect()
"""Nothing is known beforehand."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How a file was read."""

    name: str
    """The file; of several that were read alike, the first."""
    dialect: Dialect
    """With what was found out filled in."""
    found: tuple[str, ...] = ()
    """What was found out rather than declared or the rule, a short sentence each, and what it shows by."""
    files: int = 1
    """How many files were read alike."""
