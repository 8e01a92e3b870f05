import csv
import io
from pathlib import Path

from sandbox.segment import COLUMNS, made_up_segment, write_segment


def test_a_made_up_segment_depends_on_its_seed_alone(tmp_path: Path) -> None:
    blocks, truth = made_up_segment(2000, seed=4)
    data = b"".join(blocks)

    again = write_segment(tmp_path / "a.csv", 2000, seed=4, with_contacts=True)
    other, _ = made_up_segment(2000, seed=5)
    shorter, _ = made_up_segment(1000, seed=4)

    assert (tmp_path / "a.csv").read_bytes() == data
    assert again == truth
    assert b"".join(other) != data
    assert data.startswith(b"".join(shorter))


def test_the_truth_of_a_made_up_segment_adds_up() -> None:
    blocks, truth = made_up_segment(5000, dirt=0.3)
    rows = list(csv.reader(io.StringIO(b"".join(blocks).decode(), newline=""), strict=True))

    assert rows[0] == list(COLUMNS)
    assert len(rows) - 1 == truth.rows == 5000
    assert len(truth.contacts) == truth.keep
    assert len(truth.rejected_rows) == truth.rejected.total()
    assert truth.rejected.keys() == {"missing_email", "invalid_email", "wrong_column_count"}
    assert 1000 < truth.duplicates + truth.rejected.total() < 2000


def test_nobody_real_is_in_a_made_up_segment() -> None:
    blocks, truth = made_up_segment(3000, dirt=0)
    list(blocks)

    assert truth.keep == 3000
    assert {address.rpartition("@")[2].removeprefix("mail.") for address in truth.contacts} == {
        "example.com",
        "example.org",
        "example.net",
    }
