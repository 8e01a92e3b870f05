"""Whole plans of small drops: awkward files, every cut, and an independent model."""

import csv
import gzip
import io
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.domain.contact import ContactMapping, FieldTarget
from exporter.domain.dialect import Dialect
from exporter.domain.planning import PlanLimits, PlanSummary, judge_size, plan_drop
from exporter.domain.reject import Reject, RejectReason
from exporter.errors import StopRunError
from sandbox.segment import made_up_segment
from tests.unit.domain.plans import LIMITS, MAPPING, SAMPLES, a_file, cut, plan

HEADER = b"CustomerId,Email,FirstName,City\r\n"
ALL = ["Ann", "Bo", "Zoë"]

READABLE = {
    "plain.csv": ALL,
    "line_feeds_alone.csv": ALL,
    "no_line_end_at_the_end.csv": ALL,
    "byte_order_mark.csv": ALL,
    "utf16_little_endian.csv": ALL,
    "utf16_big_endian.csv": ALL,
    "blanks_around_header_names.csv": ALL,
    "empty_lines.csv": ALL,
    "gzip_named_csv.csv": ALL,
    "quotes_commas_and_line_breaks.csv": ['Ann "A", Jr.', "Bo", "Zoë"],
    "mark_within_a_value.csv": ["Ann\n\ufeffLee", "\ufeffBo", "Zoë"],
    "quote_within_unquoted_value.csv": ["Ann", 'Bo "the Great"', "Zoë"],
    "unicode_line_separators.csv": ["Ann", "Bo", "Zo\u2028e"],
    "ragged_rows.csv": ["Ann", "Zoë"],
    "semicolons.csv": ["Ann", "Bo"],
    "semicolons_with_decimal_commas.csv": ALL,
    "tabs.csv": ["Ann", "Bo"],
    "vertical_bars.csv": ALL,
    "backslash_escapes.csv": ['Ann "A", Jr.', "ACME\\Bo", "Zoë"],
    "backslash_at_the_end_of_quotes.csv": ALL,
    "backslashes_outside_quotes.csv": ALL,
    "json_lines.csv": ["Ann"],
}

FOUND = {
    "semicolons.csv": "delimiter ; found: the mapped columns are in the header so read",
    "semicolons_with_decimal_commas.csv": "delimiter ; found: the mapped columns are in the header so read",
    "tabs.csv": "delimiter tab found: the mapped columns are in the header so read",
    "vertical_bars.csv": "delimiter | found: the mapped columns are in the header so read",
    "backslash_escapes.csv": (
        "escape backslash found: line 2 and what follows can only be read with quotes behind backslashes"
    ),
    "backslash_at_the_end_of_quotes.csv": (
        "escape double found: line 2 and what follows can only be read with doubled quotes"
    ),
    "json_lines.csv": "format jsonl found: the first character is {",
    "utf16_little_endian.csv": "encoding utf-16 found: the file begins with its byte order mark",
    "utf16_big_endian.csv": "encoding utf-16 found: the file begins with its byte order mark",
}
"""Of the readable files, those that are not read by the rule alone."""

DECLARED = {
    "carets.csv": (Dialect(delimiter="^"), ALL),
    "comma_or_semicolon.csv": (Dialect(delimiter=";"), ["Ann"]),
    "backslashes_that_escape_or_not.csv": (Dialect(escape="backslash"), ["Ann", "Bo \\ Ba", "Zoë"]),
    "latin1.csv": (Dialect(encoding="latin-1"), ["Ann", "Zoë"]),
    "windows1252.csv": (Dialect(encoding="windows-1252"), ["Ann", "Bo “the Great”", "Zoë"]),
    "utf16_without_mark.csv": (Dialect(encoding="utf-16"), ALL),
    "no_header.csv": (Dialect(columns=("CustomerId", "Email", "FirstName", "City")), ALL),
}
"""Files that are refused, and can be read as something is declared."""

REFUSED = {
    "utf16_without_mark.csv": ("nul_byte", r"byte 1, line 1: .* UTF-16 without a byte order mark"),
    "utf16_cut_off_within_character.csv": ("cut_off", r"within a character, at byte 236, line 4"),
    "utf32.csv": ("bad_encoding", r"is UTF-32"),
    "latin1.csv": ("bad_encoding", r"is not UTF-8: byte 83, line 3 "),
    "joined_with_marks.csv": ("bad_encoding", r"byte order mark before the row at line 4"),
    "surrogates_as_utf8.csv": ("bad_encoding", r"byte 81, line 3 "),
    "cut_off_within_character.csv": ("cut_off", r"within a character, at byte 110, line 4"),
    "cut_off_within_row.csv": ("cut_off", r"data row 3 \(line 4\), which has 2 of 4 columns and no line end"),
    "cut_off_within_quotes.csv": ("cut_off", r"line 4 \(data row 3\) within a quoted value"),
    "stray_quote_opens_a_field.csv": ("cut_off", r"\(data row 2\) within a quoted value: .* stray"),
    "stray_quote_after_a_field.csv": ("bad_quoting", r"line 3 \(data row 2\)"),
    "nul_byte.csv": ("nul_byte", r"byte 81, line 3"),
    "lone_carriage_returns.csv": ("bad_line_ends", r"line 1 \(the header\)"),
    "carets.csv": ("missing_column", r"seems to be delimited by '\^': declare that as the `delimiter`"),
    "semicolons_without_a_mapped_column.csv": (
        "missing_column",
        r"reads: 'Email'\. It seems to be delimited by semicolons; its columns are then 'CustomerId', ",
    ),
    "comma_or_semicolon.csv": ("ambiguous_dialect", r"delimited by commas, or by semicolons\. Declare"),
    "backslashes_that_escape_or_not.csv": ("ambiguous_dialect", r"two ways from line 3 on.*`escape: double`"),
    "windows1252.csv": ("bad_encoding", r"byte 81, line 3 .*`encoding: latin-1` or `windows-1252`"),
    "mixed_encodings.csv": ("bad_encoding", r"is not UTF-8: byte 83, line 3 "),
    "no_header.csv": ("missing_column", r"'Email', 'FirstName'\. Its first line looks like data"),
    "missing_column.csv": (
        "missing_column",
        r"'Email'\. Its columns are 'CustomerId', 'Mail', 'FirstName', 'City'",
    ),
    "doubled_column.csv": ("doubled_column", r"the column 'FirstName' 2 times \(first as columns 3 and 4\)"),
    "two_columns_without_a_name.csv": ("doubled_column", r"a column without a name 2 times"),
    "empty.csv": ("empty_drop", r"no data rows"),
    "byte_order_mark_alone.csv": ("empty_drop", r"no data rows"),
    "header_alone.csv": ("empty_drop", r"no data rows"),
    "header_alone_without_line_end.csv": ("empty_drop", r"no data rows"),
    "empty_lines_alone.csv": ("empty_drop", r"no data rows"),
    "gzip_cut_off.csv.gz": ("cut_off", r"gzip and ends before its end mark"),
    "gzip_damaged.csv.gz": ("bad_gzip", r"damaged"),
    "gzip_of_two_members.csv.gz": ("bad_gzip", r"single member"),
    "gzip_with_trailing_data.csv.gz": ("bad_gzip", r"goes on after the end"),
    "gzip_twice.csv.gz": ("unsupported_format", r"compressed twice"),
    "parquet.csv": ("cut_off", r"is Parquet and ends, after [0-9]+ bytes, without the directory"),
    "zip.csv": ("unsupported_format", r"zip archive"),
    "json_array.csv": ("unsupported_format", r"JSON"),
}


def test_every_sample_has_its_expectation() -> None:
    names = {path.name for path in SAMPLES.iterdir() if not path.name.startswith(".")}

    assert names == READABLE.keys() | REFUSED.keys()


@pytest.mark.parametrize("name", READABLE)
def test_an_awkward_file_is_read_right_in_one_block_and_byte_by_byte(name: str) -> None:
    data = (SAMPLES / name).read_bytes()

    whole = plan(data)

    assert [contact["first_name"] for contact in whole.contacts] == READABLE[name]
    assert plan(cut(data, range(1, len(data)))) == whole


@pytest.mark.parametrize("name", READABLE)
def test_what_was_found_out_is_told(name: str) -> None:
    (reading,) = plan((SAMPLES / name).read_bytes()).summary.readings

    assert reading.found == ((FOUND[name],) if name in FOUND else ())


@pytest.mark.parametrize("name", DECLARED)
def test_a_refused_file_is_read_right_as_it_is_declared(name: str) -> None:
    dialect, names = DECLARED[name]

    made = plan((SAMPLES / name).read_bytes(), dialect=dialect)

    assert [contact["first_name"] for contact in made.contacts] == names


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_whole_is_refused_with_its_place(name: str) -> None:
    code, words = REFUSED[name]
    data = (SAMPLES / name).read_bytes()

    for blocks in ([data], cut(data, range(1, len(data)))):
        with pytest.raises(StopRunError, match=words) as caught:
            plan(blocks)
        assert caught.value.code == code
        assert code == "empty_drop" or str(caught.value).startswith("0.csv ")
        assert "example" not in str(caught.value)


def test_ragged_rows_are_rejected_one_by_one() -> None:
    made = plan((SAMPLES / "ragged_rows.csv").read_bytes())

    assert made.rejects == (
        Reject("0.csv", 2, RejectReason.WRONG_COLUMN_COUNT, "4 columns expected, 3 found", "bo@example.com"),
        Reject("0.csv", 3, RejectReason.WRONG_COLUMN_COUNT, "4 columns expected, 5 found", "cy@example.com"),
        Reject("0.csv", 4, RejectReason.WRONG_COLUMN_COUNT, "4 columns expected, 1 found", ""),
    )
    assert made.places == [(0, 1), (0, 5)]


def test_a_value_without_end_is_taken_for_a_stray_quote() -> None:
    with pytest.raises(StopRunError, match=r"over 1,000,000 characters at line \d+ \(data row 2\)") as caught:
        plan(HEADER + b'1,a@b.co,A,B\r\n2,b@b.co,"' + b"x,y\r\n" * 250_000)

    assert caught.value.code == "bad_quoting"


@pytest.mark.parametrize("column", range(4))
def test_a_row_with_an_overlong_value_is_rejected_mapped_or_not(column: int) -> None:
    """A stray double quote that happens to be closed has joined lines: that must not pass unseen."""
    cells = ["2", "bo@example.com", "Bo", "Gent"]
    fits, too_long = ([*cells[:column], "x" * size, *cells[column + 1 :]] for size in (1000, 1001))
    text = io.StringIO(newline="")
    csv.writer(text).writerows([fits, too_long, ["3", "cy@example.com", "Cy", "Ulm"]])

    made = plan(HEADER + text.getvalue().encode(), limits=PlanLimits(value_characters=1000))

    assert made.places[-1] == (0, 3)
    assert [reject.reason for reject in made.rejects if reject.row == 1] == (
        [RejectReason.INVALID_EMAIL] if column == 1 else []
    )
    (reject,) = [reject for reject in made.rejects if reject.row == 2]
    assert reject.reason is RejectReason.VALUE_TOO_LONG
    assert reject.detail.startswith("1,001 characters in a value, 1,000 at most")
    assert len(reject.email) <= 1001


def test_values_that_are_long_together_only_are_fine() -> None:
    made = plan(HEADER + b"1,ann@example.com,Ann,Oslo\r\n", limits=PlanLimits(value_characters=20))

    assert made.summary.contacts == 1


def test_files_that_are_too_large_as_they_lie_there_need_no_reading() -> None:
    judge_size(1000, PlanLimits(max_bytes=1000))
    with pytest.raises(StopRunError, match=r"1,001 bytes; a drop may have 1,000") as caught:
        judge_size(1001, PlanLimits(max_bytes=1000))

    assert caught.value.code == "too_large"


def test_an_odd_name_is_shown_escaped() -> None:
    with pytest.raises(StopRunError, match=r"^\.\./a\\u202evsc\\x00é ") as caught:
        plan_drop(
            [a_file("../a\u202evsc\0é", [b"x\r\n"])],
            MAPPING,
            on_chunk=lambda _: None,
            on_reject=lambda _: None,
        )

    assert caught.value.code == "missing_column"


def test_each_source_is_mapped_by_its_own_header() -> None:
    made = plan(
        HEADER + b"1,ann@example.com,Ann,Oslo\r\n2,,Bo,Gent\r\n",
        b"",
        b"FirstName,Email\nCy,cy@example.com\nDi,ANN@example.com\nEd,ed@example.com",
    )

    assert [(c["email"], c["first_name"]) for c in made.contacts] == [
        ("ann@example.com", "Ann"),
        ("cy@example.com", "Cy"),
        ("ed@example.com", "Ed"),
    ]
    assert made.chunks[0].bodies[0].origins == ((0, (1,)), (2, (1, 3)))
    assert [(r.source, r.row, r.reason) for r in made.rejects] == [("0.csv", 2, RejectReason.MISSING_EMAIL)]
    expected = PlanSummary(5, 1, 1, 3, (1,), (3,), {"missing_email": 1}, readings=made.summary.readings)
    assert made.summary == expected


def test_a_source_cut_off_in_its_header_is_refused_beside_others_with_rows() -> None:
    with pytest.raises(StopRunError, match=r"^1\.csv ends within its header") as caught:
        plan(HEADER + b"1,ann@example.com,Ann,Oslo\r\n", HEADER[:-2])

    assert caught.value.code == "cut_off"
    assert plan(HEADER + b"1,ann@example.com,Ann,Oslo\r\n", HEADER).summary.rows == 1


def test_the_first_of_several_rows_for_one_address_wins() -> None:
    made = plan(
        HEADER
        + b"1,Ann@example.com,Ann,\r\n2, ann@EXAMPLE.com\t,Not Ann,\r\n"
        + "3,bo@bücher.example,Bo,\r\n4,BO@xn--BCHER-kva.example,Not Bo,\r\n".encode()
    )

    assert [(c["email"], c["first_name"]) for c in made.contacts] == [
        ("Ann@example.com", "Ann"),
        ("bo@xn--bcher-kva.example", "Bo"),
    ]
    assert made.summary.duplicates == 2


def test_a_rejected_row_does_not_take_its_address() -> None:
    huge = b"x" * 1000
    limits = PlanLimits(body_bytes=500)

    made = plan(
        HEADER
        + b"1,ann@example.com\r\n2,ann@example.com,"
        + huge
        + b",\r\n3,ann@example.com,Ann,\r\n4,ann@example.com,Ann,",
        limits=limits,
    )

    assert made.places == [(0, 3)]
    assert [(r.row, r.reason.value, r.detail) for r in made.rejects] == [
        (1, "wrong_column_count", "4 columns expected, 2 found"),
        (2, "contact_too_large", "1,070 bytes as JSON"),
    ]
    assert made.summary.duplicates == 1


def test_a_reject_shows_the_address_as_it_stood() -> None:
    made = plan(HEADER + " 1,  ,A,\r\n2, ä@b.co ,B,\r\n3,a@b,C,\r\n4,d@example.com,D,".encode())

    assert [(r.reason.value, r.detail, r.email) for r in made.rejects] == [
        ("missing_email", "the e-mail column is empty", "  "),
        ("invalid_email", "characters before the @ that are not ASCII", " ä@b.co "),
        ("invalid_email", "the domain has no dot", "a@b"),
    ]


def test_a_drop_over_the_row_limit_is_refused() -> None:
    rows = b"".join(b"%d,p%d@example.com,P,\r\n" % (n, n) for n in range(6))

    assert plan(HEADER + rows, limits=PlanLimits(max_rows=6)).summary.rows == 6
    assert plan(HEADER + rows, HEADER + rows, limits=PlanLimits(max_rows=12)).summary.rows == 12
    for sources, most in (((HEADER + rows,), 5), ((HEADER + rows, HEADER + rows), 11)):
        with pytest.raises(StopRunError, match=r"over .* rows") as caught:
            plan(*sources, limits=PlanLimits(max_rows=most))
        assert caught.value.code == "too_large"


def test_what_keep_going_raises_ends_the_plan() -> None:
    def stop() -> None:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        plan_drop(
            [a_file("a.csv", [HEADER])],
            MAPPING,
            on_chunk=lambda _: None,
            on_reject=lambda _: None,
            keep_going=stop,
        )


def test_nothing_is_read_before_it_is_needed() -> None:
    """Chunks leave while the source is still being read: no file is held whole."""
    taken = 0

    def blocks() -> Iterator[bytes]:
        nonlocal taken
        yield HEADER
        for n in range(3000):
            taken = n
            yield b"%d,p%d@example.com,P,\r\n" % (n, n)

    taken_at: list[int] = []
    plan_drop(
        [a_file("a.csv", blocks())],
        MAPPING,
        limits=PlanLimits(chunk_bodies=2),
        on_chunk=lambda _: taken_at.append(taken),
        on_reject=lambda _: None,
    )

    assert taken_at[0] == 750
    assert taken_at[1] == 1250


def two_kilobytes(dirt: float) -> bytes:
    blocks, _ = made_up_segment(28, seed=3, dirt=dirt)
    return b"\xef\xbb\xbf" + b"".join(blocks)


def test_the_plan_is_the_same_for_every_cut_of_a_2_kb_file() -> None:
    data = two_kilobytes(dirt=0.3)
    assert 1500 < len(data) < 3000
    whole = plan(data)

    for at in range(1, len(data)):
        assert plan([data[:at], data[at:]]) == whole
    zipped = gzip.compress(data)
    for at in range(1, len(zipped)):
        assert plan([zipped[:at], zipped[at:]]) == whole


def test_a_file_cut_off_anywhere_is_refused_or_loses_whole_rows_alone() -> None:
    """A cut between two rows can't be seen, nor one within the last value; every other is refused."""
    data = two_kilobytes(dirt=0)
    whole = plan(data).contacts
    for size in range(len(data)):
        try:
            contacts = plan(data[:size]).contacts
        except StopRunError as error:
            assert error.code in {"cut_off", "empty_drop", "missing_column"}  # noqa: PT017
        else:
            assert contacts == whole[: len(contacts)]


MODEL_MAPPING = ContactMapping(
    email="Email",
    list_id="12",
    first_name="FirstName",
    last_name="LastName",
    phone="Phone",
    fields=(("City", FieldTarget(3, "text")),),
    tag_columns=("Tier",),
)


def modelled_contact(row: dict[str, str]) -> dict[str, Any]:
    """The contact of a trimmed row, said plainly."""
    named = {"first_name": row["FirstName"], "last_name": row["LastName"], "phone": row["Phone"]}
    return {
        "email": row["Email"],
        **{key: value for key, value in named.items() if value},
        **({"fields": [{"id": 3, "value": row["City"]}]} if row["City"] else {}),
        **({"tags": [row["Tier"]]} if row["Tier"] else {}),
        "subscribe": [{"listid": 12}],
    }


@pytest.mark.parametrize("seed", range(3))
def test_a_made_up_segment_is_planned_as_its_truth_says(seed: int) -> None:
    blocks, truth = made_up_segment(3000, seed=seed, dirt=0.2)

    made = plan(blocks, mapping=MODEL_MAPPING)

    assert made.contacts == [modelled_contact(row) for row in truth.contacts.values()]
    assert {reject.row: reject.reason.value for reject in made.rejects} == truth.rejected_rows
    assert made.summary.reasons == truth.rejected
    assert made.summary.duplicates == truth.duplicates
    assert made.summary.contacts == truth.keep
    assert made.summary.rows == truth.rows == 3000


LOCALS = st.sampled_from(["ann", "Ann", "ANN", "bo", "c.d", "c..d", "", "e f", "é"])
DOMAINS = st.sampled_from(["@b.co", "@B.CO", "@b", "", "@@b.co", "@b_b.co", "@b.co ", "@1.2.3.4"])
EMAILS = st.builds(str.__add__, LOCALS, DOMAINS)
ROWS = st.lists(
    st.tuples(EMAILS, st.text('a, "\n\r|', max_size=4), st.integers(2, 4)), min_size=1, max_size=25
)
GOOD = {"ann@b.co", "bo@b.co", "c.d@b.co"}


@settings(max_examples=150)
@given(st.lists(ROWS, min_size=1, max_size=3), st.integers(1, 4), st.integers(1, 3))
def test_a_plan_agrees_with_a_naive_model(
    sources: list[list[tuple[str, str, int]]], body_contacts: int, chunk_bodies: int
) -> None:
    first: dict[str, tuple[int, int, str]] = {}
    expected: Counter[str] = Counter()
    files = []
    for source, rows in enumerate(sources):
        file = io.StringIO(newline="")
        writer = csv.writer(file)
        writer.writerow(["Email", "FirstName", "City"])
        for number, (email, name, width) in enumerate(rows, 1):
            writer.writerow([email, name, "x", "y"][:width])
            key = email.strip().lower()
            if width != 3:
                expected["wrong_column_count"] += 1
            elif not key:
                expected["missing_email"] += 1
            elif key not in GOOD:
                expected["invalid_email"] += 1
            elif key in first:
                expected["duplicates"] += 1
            else:
                first[key] = (source, number, email.strip())
        files.append(file.getvalue().encode())

    made = plan(*files, limits=PlanLimits(body_contacts=body_contacts, chunk_bodies=chunk_bodies))

    assert [
        (*place, contact["email"]) for place, contact in zip(made.places, made.contacts, strict=True)
    ] == [*first.values()]
    assert Counter({**made.summary.reasons, "duplicates": made.summary.duplicates}) == expected
    assert Counter(reject.reason.value for reject in made.rejects) == made.summary.reasons
    summary = made.summary
    assert summary.rows == sum(map(len, sources))
    assert summary.rows == summary.rejected + summary.duplicates + summary.contacts
    assert summary.bodies_per_chunk == tuple(len(chunk.bodies) for chunk in made.chunks)
    assert sum(summary.contacts_per_chunk) == summary.contacts == len(made.contacts)
    assert max(made.body_sizes, default=0) <= body_contacts


def test_a_drop_of_rejects_alone_has_no_chunk() -> None:
    made = plan(HEADER + b"1,nobody,A,\r\n", limits=LIMITS)

    assert made.chunks == ()
    assert made.summary.contacts == 0
