"""A table: one source's header and rows, whatever the format of the file."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from exporter.domain.csv_table import open_csv
from exporter.domain.dialect import Dialect, Reading
from exporter.domain.reading import ReadingWatch, plain_pieces
from exporter.domain.source_file import SourceFile
from exporter.errors import StopRunError


class Table(Protocol):
    """One source as a table."""

    @property
    def name(self) -> str:
        """The source's name."""

    @property
    def header(self) -> Sequence[str]:
        """The column names, trimmed; empty for a source that holds nothing."""

    @property
    def rows(self) -> Iterable[Sequence[str]]:
        """The rows as texts, one for each column of the header or not; empty lines come as empty rows.

        Iterating may raise StopRunError, and csv.Error for which `unreadable` has the words.
        """

    @property
    def reading(self) -> Reading:
        """How the source is read."""

    @property
    def at_open_end(self) -> bool:
        """The row read last is the source's last and has no line end, as in a file that was cut off."""

    def unreadable(self, error: Exception, row: int) -> StopRunError:
        """What to tell a person about `error`, met while reading data row `row` (0: the header)."""

    def cut_off(self, row: int, cell_count: int) -> StopRunError:
        """What to tell about a last row without a line end that has too few cells."""


def open_table(
    file: SourceFile, dialect: Dialect, required: Sequence[str], watch: ReadingWatch, *, max_ratio: int
) -> Table:
    """The file as a table; `required` are the columns that the mapping reads.

    Raises StopRunError for a file that can't be read so, or whose columns don't fit; a source that holds
    nothing has no header and no rows.
    """
    pieces = plain_pieces(file.name, file.blocks(), watch, max_ratio=max_ratio)
    return open_csv(file.name, pieces, dialect, required)
