"""Any table, written in any dialect by a straightforward writer, is read back, or refused as ambiguous."""

import gzip
import re
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Final, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from exporter.domain import csv_rows
from exporter.domain.contact import ContactMapping
from exporter.domain.decoding import ANY_BYTES, CODECS
from exporter.domain.dialect import Dialect, Encoding, Escape, Quote, Reading
from exporter.domain.reading import ReadingWatch
from exporter.domain.source_file import SourceFile
from exporter.domain.table import open_table
from exporter.errors import StopRunError
from tests.unit.domain.plans import cut, plan

AWKWARD: Final = st.text(st.sampled_from('a1"\'\\,;\t|^\r\n \u2028\x85é\\"'), max_size=6)
PIECES: Final = st.lists(
    st.sampled_from(['"', '""', "\\", "\\\\", '\\"', '",', ',"', ",", ";", "\n", "\r\n", "x", "\\N", '"\n"']),
    max_size=5,
).map("".join)
CELLS: Final = (AWKWARD | PIECES | st.text(max_size=4)).filter(lambda value: value[:1] != "\ufeff")
"""A mark before a row, which is what such a value may look like, is refused."""
ENDS: Final = st.lists(st.integers(0, 300), max_size=8).map(sorted)


@dataclass(frozen=True)
class Written:
    """A table as a producer writes it."""

    dialect: Dialect
    """With everything declared."""
    line_end: str = "\r\n"
    mark: bool = False
    zipped: bool = False
    quote_all: bool = False

    def data(self, header: list[str], rows: list[list[str]]) -> bytes:
        """The file's bytes."""
        lines = [*([header] if self.dialect.header else []), *rows]
        sign = self.dialect.delimiter or ","
        text = "".join(sign.join(map(self.cell, line)) + self.line_end for line in lines)
        codec = CODECS[self.dialect.encoding or "utf-8"]
        data = ("\ufeff" * self.mark + text).encode(codec)
        return gzip.compress(data, mtime=0) if self.zipped else data

    def cell(self, value: str) -> str:
        """A value as it stands in the file."""
        quote, delimiter = self.dialect.quote, self.dialect.delimiter or ","
        backslash = self.dialect.escape == "backslash"
        if quote == "none":
            return re.sub(rf"([{re.escape(delimiter)}\r\n\\])", r"\\\1", value) if backslash else value
        assert quote is not None
        if not self.quote_all and value and not re.search(rf"[{re.escape(delimiter)}{quote}\r\n]", value):
            return value
        escaped = re.sub(rf"([{quote}\\])", r"\\\1", value) if backslash else value.replace(quote, quote * 2)
        return f"{quote}{escaped}{quote}"

    def can_hold(self, value: str) -> bool:
        """Whether the dialect can say the value at all."""
        if self.dialect.quote != "none":
            return True
        if self.dialect.escape == "backslash":
            # An escaped CR before the LF that ends the row looks like one escaped line end.
            return value != "" and not (self.line_end == "\n" and value.endswith("\r"))
        return value != "" and not any(sign in value for sign in (self.dialect.delimiter or ",", "\r", "\n"))


def said(encoding: Encoding, *, mark: bool) -> st.SearchStrategy[str]:
    """Characters that an encoding has."""
    codec = CODECS[encoding]
    excluded = "\0" + ("".join(map(chr, range(0x80, 0xA0))) if encoding == "latin-1" else "")
    alphabet = st.characters(codec="utf-8" if mark else codec, exclude_characters=excluded)
    return st.text(alphabet, max_size=6)


@st.composite
def written(draw: st.DrawFn) -> Written:
    """Any dialect, all of it declared."""
    delimiter = draw(st.sampled_from([",", ";", "\t", "|", "^", "#", "~", "¦", "/", "_", ":"]))
    encoding = draw(st.sampled_from(get_args(Encoding)))
    header = draw(st.booleans())
    dialect = Dialect(
        encoding=encoding,
        delimiter=delimiter,
        quote=draw(st.sampled_from(get_args(Quote))),
        escape=draw(st.sampled_from(get_args(Escape))),
        null=draw(st.sampled_from([None, "\\N", "NULL"])),
        header=header,
        columns=() if header else ("c0", "c1", "c2"),
    )
    return Written(
        dialect,
        line_end=draw(st.sampled_from(["\r\n", "\n"])),
        mark=encoding in {"utf-8", "utf-16"} and draw(st.booleans()),
        zipped=draw(st.booleans()),
        quote_all=draw(st.booleans()),
    )


def read(data: list[bytes], dialect: Dialect, required: tuple[str, ...]) -> tuple[list[list[str]], Reading]:
    file = SourceFile("a.csv", lambda: data, lambda: BytesIO(b"".join(data)))
    table = open_table(file, dialect, required, ReadingWatch(10**9), max_ratio=1000)
    rows = [list(row) for row in table.rows if row]
    return rows, table.reading


@given(written(), st.data(), ENDS)
def test_what_was_written_in_a_declared_dialect_is_read_back_in_any_cut(
    file: Written, data: st.DataObject, ends: list[int]
) -> None:
    encoding = file.dialect.encoding or "utf-8"
    cells = (CELLS | said(encoding, mark=file.mark)).filter(
        lambda value: file.can_hold(value) and sayable(value, encoding) and value != file.dialect.null
    )
    if file.dialect.null is None:
        cells = cells.filter(lambda value: value != csv_rows.NULL_SIGN)
    rows = data.draw(st.lists(st.lists(cells, min_size=3, max_size=3), min_size=1, max_size=5))
    if file.dialect.null and file.dialect.quote != "none":
        rows[-1][1] = file.dialect.null
    header = ["c0", "c1", "c2"]
    content = file.data(header, rows)

    assume(encoding not in ANY_BYTES or not is_utf8(gzip.decompress(content) if file.zipped else content))

    got, reading = read(cut(content, [min(end, len(content)) for end in ends]), file.dialect, ("c1",))

    assert got == [["" if cell == file.dialect.null else cell for cell in row] for row in rows]
    assert reading.dialect == file.dialect.model_copy(update={"format": "csv"})
    assert reading.found == ()


def is_utf8(data: bytes) -> bool:
    """Whether bytes are UTF-8, and not ASCII alone."""
    try:
        return not data.decode().isascii()
    except UnicodeDecodeError:
        return False


def sayable(value: str, encoding: Encoding) -> bool:
    """Whether an encoding has all characters of a value, and no other producer's control characters."""
    if value.startswith("\ufeff"):  # a mark before a row is refused
        return False
    if encoding == "latin-1" and re.search("[\x80-\x9f]", value):
        return False
    try:
        value.encode(CODECS[encoding])
    except UnicodeEncodeError:
        return False
    return "\0" not in value


DETECTABLE: Final = st.builds(
    Written,
    st.builds(
        Dialect,
        encoding=st.just("utf-8"),
        delimiter=st.sampled_from([",", ";", "\t", "|"]),
        quote=st.just('"'),
        escape=st.sampled_from(get_args(Escape)),
        header=st.just(True),
    ),
    line_end=st.sampled_from(["\r\n", "\n"]),
    quote_all=st.booleans(),
)
TABLES: Final = st.integers(1, 3).flatmap(
    lambda width: st.lists(
        st.lists(CELLS.filter(lambda value: "\0" not in value), min_size=width, max_size=width),
        min_size=1,
        max_size=6,
    )
)


@given(DETECTABLE, TABLES, ENDS, st.sampled_from([8, 64, 1024 * 1024]))
def test_what_is_found_out_is_as_it_was_written_or_is_refused(
    file: Written, rows: list[list[str]], ends: list[int], look: int
) -> None:
    header = [f"c{number}" for number in range(len(rows[0]))]
    content = file.data(header, rows)
    blocks = cut(content, [min(end, len(content)) for end in ends])
    answers = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(csv_rows, "LOOK_CHARACTERS", look)
        patch.setattr(csv_rows, "MAX_OPEN_CHARACTERS", look)
        for data in ([content], blocks, cut(content, range(1, len(content)))):
            try:
                got, reading = read(data, Dialect(), tuple(header))
            except StopRunError as error:
                assert error.code == "ambiguous_dialect"  # noqa: PT017
                answers.append(str(error))
                continue
            # The header of a single column shows no delimiter: a row that another one cuts up is rejected.
            is_cut_up = [len(row) != 1 == len(header) for row in got]
            assert [
                was if is_so else row for row, was, is_so in zip(got, rows, is_cut_up, strict=True)
            ] == rows
            answers.append(repr(reading))

    assert len(set(answers)) == 1


@given(DETECTABLE, TABLES)
def test_a_delimiter_is_found_by_the_number_of_declared_columns(file: Written, rows: list[list[str]]) -> None:
    file = replace(file, dialect=file.dialect.model_copy(update={"header": False}))
    columns = tuple(f"c{number}" for number in range(len(rows[0])))
    declared = Dialect(header=False, columns=columns, escape=file.dialect.escape)
    try:
        got, _ = read([file.data([], rows)], declared, columns)
    except StopRunError as error:
        assert error.code == "ambiguous_dialect"  # noqa: PT017
    else:
        assert got == rows


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "'", "\\", "\r", "\n", "\0", " ", "a", "1", ",\n"])
def test_what_cannot_delimit_is_refused_when_it_is_declared(delimiter: str) -> None:
    with pytest.raises(ValueError, match="delimiter"):
        Dialect(delimiter=delimiter)


HEADERLESS: Final = Dialect(columns=("Email", "First Name"))


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ("EMAIL, first name \na@b.co,A\n", [["a@b.co", "A"]]),
        ("a@b.co,A\nEmail,B\n", [["a@b.co", "A"], ["Email", "B"]]),
        ("", []),
        ("Email,First Name\n", []),
        ("a@b.co;A", [["a@b.co", "A"]]),
    ],
)
def test_a_first_line_with_the_declared_names_is_a_header(text: str, rows: list[list[str]]) -> None:
    assert read([text.encode()], HEADERLESS, ("Email",))[0] == rows


@pytest.mark.parametrize(
    ("dialect", "text", "code", "words"),
    [
        (HEADERLESS, "Email,Name\n", "ambiguous_header", "names 'Email' in its first line"),
        (HEADERLESS, "First Name,Email\n", "ambiguous_header", "names 'Email', 'First Name' in its first"),
        (HEADERLESS, "a,b,c\n", "missing_column", "3 delimited by commas, 1 delimited by semicolons"),
        (HEADERLESS, "a,b;c\n", "ambiguous_dialect", "by commas, or by semicolons"),
        (Dialect(header=False), "a,b\n", "ambiguous_header", "Declare the names of its `columns`"),
        (
            HEADERLESS.model_copy(update={"header": True}),
            "Email,b,c\n",
            "ambiguous_header",
            "3 columns in its header, and 2",
        ),
        (Dialect(delimiter=","), "Email;b\n", "missing_column", "by semicolons: declare that as the `delim"),
        (
            Dialect(delimiter=";", quote="'", header=True),
            "Email;b\n'a'b;c\n",
            "bad_quoting",
            "closing single quote there must be a semicolon .* Double the quotes",
        ),
        (Dialect(escape="backslash"), 'Email\n"a"b\n', "bad_quoting", "Write a backslash before the quotes"),
        (Dialect(quote="none", escape="backslash"), "Email\na\\\n", "cut_off", "after a backslash"),
        (Dialect(encoding="windows-1252"), "Email\n\x81", "bad_encoding", "Windows-1252: byte 6, line 2"),
        (Dialect(encoding="latin-1"), "Email\nx\x93", "bad_encoding", "Latin-1: byte 7, line 2"),
        (Dialect(encoding="latin-1"), "Email\nÃ©", "bad_encoding", "is UTF-8, and `encoding: latin-1`"),
        (Dialect(encoding="windows-1252"), "Email\nÃ©", "bad_encoding", "Leave `encoding` out"),
    ],
)
def test_what_does_not_go_with_its_dialect_is_refused(
    dialect: Dialect, text: str, code: str, words: str
) -> None:
    with pytest.raises(StopRunError, match=words) as caught:
        plan(text.encode("latin-1"), mapping=ContactMapping(email="Email", list_id="5"), dialect=dialect)

    assert caught.value.code == code


@pytest.mark.parametrize(
    ("text", "delimiter"),
    [("a;b\n1,5;2\n3,5;4\n", ";"), ("a\nb\n", ","), ("a,b\n1,2\n", ","), ("a|b\n1|2\n", "|"), ("", ",")],
)
def test_where_nothing_is_mapped_equal_numbers_of_cells_show_the_delimiter(text: str, delimiter: str) -> None:
    assert read([text.encode()], Dialect(), ())[1].dialect.delimiter == delimiter


def test_what_escapes_may_show_late_and_is_then_told_with_its_line() -> None:
    head = "Email,Name\n" + 'a@b.co,"A\nB"\n' * 100_000
    tail = '"b@b.co","C:\\"\n"c@b.co","C"\n'

    rows, reading = read([(head + tail).encode()], Dialect(), ("Email",))

    assert rows[-2:] == [["b@b.co", "C:\\"], ["c@b.co", "C"]]
    assert reading.found == (
        "escape double found: line 200002 and what follows can only be read with doubled quotes",
    )


@pytest.mark.parametrize("line_end", ["\n", "\r\n"])
def test_one_backslash_escapes_a_whole_line_end(line_end: str) -> None:
    r"""MySQL escapes the first character alone of what ends its lines
    (dev.mysql.com/doc/refman/8.4/en/select-into.html)."""
    dialect = Dialect(quote="none", escape="backslash")
    data = line_end.join(["Email,City", f"a@b.co,Oslo\\{line_end}East", "c@d.co,Rome", ""]).encode()

    for size in range(len(data)):
        rows, _ = read(cut(data, [size]), dialect, ("Email", "City"))
        assert rows == [["a@b.co", f"Oslo{line_end}East"], ["c@d.co", "Rome"]]


@pytest.mark.parametrize("cut_at", [1, 7, 25, 33])
def test_the_sign_of_databases_for_nothing_is_refused_until_it_is_declared(cut_at: int) -> None:
    data = b'Email,FirstName\na@example.org,"x, \\N,"\nb@example.org,\\N\n'

    with pytest.raises(StopRunError, match=r"has the value \\N at line 3, as databases") as caught:
        plan(cut(data, [cut_at]))
    declared = plan(cut(data, [cut_at]), dialect=Dialect(null="\\N"))
    meant = plan(cut(data, [cut_at]), dialect=Dialect(null="-"))

    assert caught.value.code == "ambiguous_dialect"
    assert [contact.get("first_name") for contact in declared.contacts] == ["x, \\N,", None]
    assert [contact.get("first_name") for contact in meant.contacts] == ["x, \\N,", "\\N"]
