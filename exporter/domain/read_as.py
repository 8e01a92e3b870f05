"""How the files of a drop were read, in words: a guess that nobody hears of is one that nobody corrects."""

from collections.abc import Iterator, Sequence
from typing import Final

from exporter.domain.delimiters import plural
from exporter.domain.dialect import DELIMITERS_BY_WORD, Dialect, Reading
from exporter.domain.wording import shown

MAX_TOLD: Final = 20
"""So many ways are told one by one; the parts of a drop are mostly written alike."""
FORMATS: Final = {"csv": "CSV", "jsonl": "JSON Lines", "parquet": "Parquet"}
ENCODINGS: Final = {
    "utf-8": "UTF-8",
    "utf-16": "UTF-16",
    "latin-1": "Latin-1",
    "windows-1252": "Windows-1252",
}
QUOTES: Final = {"'": "values in single quotes", "none": "no quotes"}
ESCAPES: Final = {"double": "quotes doubled", "backslash": "quotes behind backslashes"}


def read_as(readings: Sequence[Reading]) -> tuple[str, ...]:
    """A sentence for each way in which files were read, at most `MAX_TOLD` and how many follow."""
    told = tuple(map(_sentence, readings[:MAX_TOLD]))
    more = len(readings) - len(told)
    return (*told, f"and {more:,} more ways") if more else told


def formats_of(readings: Sequence[Reading]) -> str:
    """The ways in closed words, such as `csv/utf-8/semicolon`: nothing of the files is in them."""
    return ", ".join(sorted({"/".join(_closed_words(reading.dialect)) for reading in readings}))


def _sentence(reading: Reading) -> str:
    others = f" and {reading.files - 1:,} more" if reading.files > 1 else ""
    way = ", ".join(_way(reading.dialect))
    return "; ".join([f"{shown(reading.name)}{others}: {way}", *reading.found])


def _way(dialect: Dialect) -> Iterator[str]:
    name, encoding = FORMATS[dialect.format or "csv"], ENCODINGS[dialect.encoding or "utf-8"]
    yield name if dialect.format == "parquet" else f"{name} in {encoding}"
    if dialect.format != "csv":
        return
    yield f"delimited by {plural(dialect.delimiter or ',')}"
    if dialect.quote in QUOTES:
        yield QUOTES[dialect.quote]
    if dialect.quote != "none" or dialect.escape == "backslash":
        yield ESCAPES[dialect.escape or "double"]
    if dialect.header is False:
        yield f"{len(dialect.columns):,} declared columns and no header"
    else:
        yield "with a header"
    if dialect.null is not None:
        yield f"'{shown(dialect.null)}' for no value"


def _closed_words(dialect: Dialect) -> Iterator[str]:
    yield dialect.format or "csv"
    if dialect.format != "parquet":
        yield dialect.encoding or "utf-8"
    if dialect.format == "csv":
        words = {sign: word for word, sign in DELIMITERS_BY_WORD.items()}
        yield words.get(dialect.delimiter or ",", "other")
