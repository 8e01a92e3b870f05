"""Made-up segments for the demo and the tests: files of any size of which the truth is known.

A segment depends on its seed alone, and a shorter one is the beginning of a longer one with the same seed.
Nobody gets mail from it: every address is on example.com, example.org or example.net.
"""

import csv
import io
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

COLUMNS: Final = ("CustomerId", "Email", "FirstName", "LastName", "Phone", "City", "Tier")
BLOCK_CHARACTERS: Final = 64 * 1024
REPEATABLE: Final = 1000
"""So many addresses are remembered for later rows to repeat."""

# As written, and as it stands in the address.
FIRST_NAMES: Final = (
    *(
        (name, name.lower())
        for name in ("Ada", "Ben", "Chloe", "Dev", "Elif", "Femi", "Grace", "Hugo", "Ines")
    ),
    *(("Zoë", "zoe"), ("Łukasz", "lukasz"), ("Σοφία", "sofia"), ("Юлия", "yulia"), ("春子", "haruko")),
    *(("Nin\u0303a", "nina"), ("Bo 🌻", "bo")),
)
LAST_NAMES: Final = (
    *(
        (name, name.lower())
        for name in ("Archer", "Brook", "Castle", "Dale", "Ford", "Garden", "Hill", "Lake")
    ),
    *(("O'Hara", "ohara"), ("Ørsted", "orsted"), ("Smith-Jones", "smith-jones"), ("van Dijk", "vandijk")),
    *(("Brook, Jr.", "brook.jr"), ('"Ace" Dale', "ace.dale"), ("Hill\nof the Lake", "hill")),
)
DOMAINS: Final = ("example.com", "example.org", "example.net", "mail.example.com")
CITIES: Final = ("Bergen", "Cádiz", "Đà Nẵng", "Gent", "Springfield, Ohio", "Ulm", "", "NULL", "two\r\nlines")
TIERS: Final = ("basic", "plus", "prime", "")
INVALID_ADDRESSES: Final = (
    "unknown",
    "ada.example.com",
    "ada@",
    "@example.com",
    "ada@@example.com",
    "ada@localhost",
    "ada brook@example.com",
    ".ada@example.com",
    "ada..brook@example.com",
    "ada@example..com",
    "ada@-example.com",
    "ada@exam_ple.com",
    "ada@example.com;ben@example.com",
    "ada@example.123",
    "ädä@example.com",
)


@dataclass(slots=True)
class Truth:
    """What a made-up segment holds; complete once its last block is taken.

    `rejected` counts by reason; `rejected_rows` has each such row's number (from 1) and reason. `contacts`
    maps each lower-cased address that is to be kept to its row as {column: trimmed value}.
    """

    rows: int = 0
    duplicates: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    rejected_rows: dict[int, str] = field(default_factory=dict)
    contacts: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def keep(self) -> int:
        """How many contacts a right reader makes of it."""
        return self.rows - self.duplicates - self.rejected.total()


def made_up_segment(
    rows: int, *, seed: int = 1, dirt: float = 0.02, with_contacts: bool = True
) -> tuple[Iterator[bytes], Truth]:
    """A segment of `rows` data rows as blocks of UTF-8 CSV, and the truth, which grows as they are taken.

    `dirt` is the share of rows (0 to 1) with a blank, invalid or repeated address or a wrong column count.
    A million contacts take about 700 MB in the truth: `with_contacts=False` leaves them out.
    """
    truth = Truth()
    return _blocks(_rows(rows, random.Random(seed), dirt, truth, with_contacts)), truth


def write_segment(
    path: Path, rows: int, *, seed: int = 1, dirt: float = 0.02, with_contacts: bool = False
) -> Truth:
    """Write a made-up segment to `path`, and say what is in it."""
    blocks, truth = made_up_segment(rows, seed=seed, dirt=dirt, with_contacts=with_contacts)
    with path.open("wb") as file:
        file.writelines(blocks)
    return truth


def _blocks(rows: Iterator[list[str]]) -> Iterator[bytes]:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(row)
        if text.tell() >= BLOCK_CHARACTERS:
            yield text.getvalue().encode()
            text.seek(0)
            text.truncate()
    yield text.getvalue().encode()


def _rows(
    count: int, chance: random.Random, dirt: float, truth: Truth, with_contacts: bool
) -> Iterator[list[str]]:
    repeatable: list[str] = []
    for number in range(1, count + 1):
        row, address = _clean_row(number, chance)
        truth.rows += 1
        if chance.random() < dirt:
            row = _spoilt(row, number, chance, truth, repeatable)
        else:
            if len(repeatable) < REPEATABLE:
                repeatable.append(address)
            if with_contacts:
                trimmed = (cell.strip() for cell in row)
                truth.contacts[address.lower()] = dict(zip(COLUMNS, trimmed, strict=True))
        yield row


def _clean_row(number: int, chance: random.Random) -> tuple[list[str], str]:
    """A row that becomes a contact, and its address; now and then in capitals or with blanks around it."""
    first, first_ascii = _pick(chance, FIRST_NAMES)
    last, last_ascii = _pick(chance, LAST_NAMES)
    address = f"{first_ascii}.{last_ascii}.{number}@{_pick(chance, DOMAINS)}"
    looks = chance.random()
    if looks < 0.02:
        address = address.upper()
    written = f"  {address} " if 0.01 < looks < 0.03 else address
    phone = f"+47{int(chance.random() * 90_000_000) + 10_000_000}" if chance.random() < 0.8 else ""
    city, tier = _pick(chance, CITIES), _pick(chance, TIERS)
    return [f"C{number:08d}", written, first, last, phone, city, tier], address


def _spoilt(
    row: list[str], number: int, chance: random.Random, truth: Truth, repeatable: list[str]
) -> list[str]:
    """The row with one thing wrong with it, which `truth` takes down."""
    kind = chance.choice(("missing_email", "invalid_email", "wrong_column_count", "repeat"))
    if kind == "repeat" and repeatable:
        truth.duplicates += 1
        address = chance.choice(repeatable)
        written = chance.choice((address, address.upper(), address.title(), f" {address}\t"))
        return [row[0], written, *row[2:]]
    reason = "missing_email" if kind == "repeat" else kind
    truth.rejected[reason] += 1
    truth.rejected_rows[number] = reason
    if reason == "wrong_column_count":
        return chance.choice((row[:-1], row[:3], [*row, "one too many"]))
    email = chance.choice(("", "   ")) if reason == "missing_email" else chance.choice(INVALID_ADDRESSES)
    return [row[0], email, *row[2:]]


def _pick(chance: random.Random, values: tuple[T, ...]) -> T:
    # A third of the time of `choice`, which a million rows notice.
    return values[int(chance.random() * len(values))]
