import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import csv_table
from exporter.domain.csv_table import CsvTable
from exporter.domain.decoding import decoded_texts
from exporter.errors import StopRunError
from tests.unit.domain.plans import cut

CELLS = st.text(st.characters(codec="utf-8", exclude_characters="\0\ufeff"), max_size=8)
AWKWARD_CELLS = st.text(st.sampled_from('a",;\r\n\t \u2028\x0b\x85é🌸'), max_size=6)


@given(
    st.integers(1, 4).flatmap(
        lambda width: st.lists(
            st.lists(CELLS | AWKWARD_CELLS, min_size=width, max_size=width), min_size=1, max_size=6
        )
    ),
    st.sampled_from(["\r\n", "\n"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.lists(st.integers(0, 400), max_size=10).map(sorted),
)
def test_what_csv_writer_wrote_is_read_back_in_any_cut(
    rows: list[list[str]], line_end: str, encoding: str, ends: list[int]
) -> None:
    text = io.StringIO(newline="")
    # Where lines end in LF alone, some versions leave a lone CR bare; the unix dialect quotes all.
    writer = csv.writer(text) if line_end == "\r\n" else csv.writer(text, "unix")
    writer.writerows([["Header"], *rows])
    data = text.getvalue().encode(encoding)

    read = CsvTable("a.csv", decoded_texts("a.csv", cut(data, [min(end, len(data)) for end in ends])))

    assert read.header == ("Header",)
    assert list(read.rows) == rows
    assert not read.at_open_end


def test_a_line_without_end_is_refused_alike_for_every_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_table, "MAX_LINE_CHARACTERS", 100)
    fits, too_long = "E,F\n" + "x" * 99 + "\n", "E,F\n" + "x" * 100 + "\n"
    for size in range(1, 60):
        CsvTable("a.csv", [fits[at : at + size] for at in range(0, len(fits), size)])
        with pytest.raises(StopRunError) as caught:
            list(CsvTable("a.csv", [too_long[at : at + size] for at in range(0, len(too_long), size)]).rows)
        assert caught.value.code == "bad_line_ends"


def test_a_header_of_very_many_columns_is_checked_quickly() -> None:
    header = ",".join(map(str, range(200_000)))

    CsvTable("a.csv", [header]).require(["7"])
