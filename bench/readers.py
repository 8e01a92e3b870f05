"""Measure the plan of one made-up segment as CSV, JSON Lines and Parquet, and a bare loop over the CSV.

    .venv/bin/python bench/readers.py --rows 1000000

Each runs in a process of its own, in turns. All three hold the same rows, and must give the same contacts. It
prints figures and judges nothing. Ratios are of processor time in the program itself, which other work on the
machine disturbs less than time on the clock. Memory is the peak of the whole process (VmHWM from /proc), so
it runs on Linux.
"""

import argparse
import csv
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `python bench/readers.py` puts bench/ there, not the checkout

from exporter.domain.contact import ContactMapping, FieldTarget  # noqa: E402 - needs the path set above
from exporter.domain.planning import plan_drop  # noqa: E402 - as above
from exporter.domain.source_file import SourceFile  # noqa: E402 - as above
from sandbox.segment import write_segment  # noqa: E402 - as above

BLOCK_BYTES: Final = 4 * 1024 * 1024
BATCH_ROWS: Final = 100_000
MAPPING: Final = ContactMapping(
    email="Email",
    list_id="5",
    first_name="FirstName",
    last_name="LastName",
    phone="Phone",
    fields=(("City", FieldTarget(1, "text")),),
)

Row = dict[str, str]


def main() -> None:
    """Make the files, read each in a process of its own, and print what it took."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the segment (1000000)")
    parser.add_argument("--repeats", type=int, default=3, help="plans of each file; the quickest counts (3)")
    parser.add_argument("--work", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.work:
        name, file = options.work
        print(json.dumps(measured(WORK[name], Path(file))))
        return
    with tempfile.TemporaryDirectory(prefix="exporter-bench-") as folder:
        compare(made(Path(folder), options.rows), options.repeats)


def made(folder: Path, row_count: int) -> list[Path]:
    """The segment in each format; rows that are damaged in CSV are left out of all."""
    written = folder / "written.csv"
    write_segment(written, row_count, with_contacts=False)
    files = [folder / f"segment.{ending}" for ending in ("csv", "jsonl", "parquet")]
    for file, write in zip(files, (write_csv, write_json_lines, write_parquet), strict=True):
        write(file, partial(rows_of, written))
    return files


def rows_of(file: Path) -> Iterator[Row]:
    """The rows that have all their columns."""
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.reader(lines)
        header = next(reader)
        yield from (dict(zip(header, row, strict=True)) for row in reader if len(row) == len(header))


def write_csv(file: Path, rows: Callable[[], Iterator[Row]]) -> None:
    """As most systems write it."""
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(next(rows())))
        writer.writeheader()
        writer.writerows(rows())


def write_json_lines(file: Path, rows: Callable[[], Iterator[Row]]) -> None:
    """As Python writes it."""
    with file.open("w", encoding="utf-8") as lines:
        lines.writelines(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows())


def write_parquet(file: Path, rows: Callable[[], Iterator[Row]]) -> None:
    """Dictionaries where they help and snappy, as most writers do by default."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(column, pa.string()) for column in next(rows())])
    remaining = rows()
    with pq.ParquetWriter(file, schema) as writer:
        while batch := list(islice(remaining, BATCH_ROWS)):
            writer.write_table(pa.Table.from_pylist(batch, schema))


def planned(file: Path) -> int:
    """The contacts of a file's plan."""
    source = SourceFile(file.name, partial(blocks_of, file), lambda: file.open("rb"))
    return plan_drop([source], MAPPING, on_chunk=lambda _: None, on_reject=lambda _: None).contacts


def read_bare(file: Path) -> int:
    """The rows of a CSV file, and nothing done with them."""
    with file.open(encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(lines)) - 1


WORK: Final[dict[str, Callable[[Path], int]]] = {"plan": planned, "bare": read_bare}


def measured(work: Callable[[Path], int], file: Path) -> dict[str, float]:
    """What `work` gives for a file, its seconds on the clock and of processor time, and the peak."""
    began, began_cpu = time.perf_counter(), resource.getrusage(resource.RUSAGE_SELF).ru_utime
    count = work(file)
    cpu_seconds = resource.getrusage(resource.RUSAGE_SELF).ru_utime - began_cpu
    seconds = time.perf_counter() - began
    return {"count": count, "seconds": seconds, "cpu": cpu_seconds, "megabytes": peak_megabytes()}


def blocks_of(file: Path) -> Iterator[bytes]:
    """The file's bytes as storage would hand them over."""
    with file.open("rb") as opened:
        while block := opened.read(BLOCK_BYTES):
            yield block


def peak_megabytes() -> float:
    """The largest size that this process has had."""
    status = Path("/proc/self/status").read_text()
    kilobytes = next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]
    return int(kilobytes) / 1024


def compare(files: list[Path], repeats: int) -> None:
    """Read the files in turns, and print each one's quickest plan beside the bare loop and the first plan."""
    jobs = [("bare", files[0]), *(("plan", file) for file in files)]
    runs: dict[tuple[str, Path], list[dict[str, float]]] = {job: [] for job in jobs}
    for _ in range(repeats):
        for (work, file), found in runs.items():
            command = [sys.executable, __file__, "--work", work, str(file)]
            output = subprocess.run(command, check=True, capture_output=True, env=os.environ).stdout
            found.append(json.loads(output))
    quickest = {job: min(found, key=lambda run: run["cpu"]) for job, found in runs.items()}
    bare, first, *others = quickest.values()
    for (work, file), run in quickest.items():
        peak = max(found["megabytes"] for found in runs[work, file])
        size = file.stat().st_size / 1e6
        print(
            f"{work} {file.suffix[1:]:8} {size:6.1f} MB file, {run['count']:9,.0f}: {run['cpu']:6.2f} s of"
            f" processor time, {run['seconds']:6.2f} s; {run['cpu'] / bare['cpu']:5.2f} x the bare loop,"
            f" {run['cpu'] / first['cpu']:4.2f} x the plan of CSV; peak {peak:4.0f} MB"
        )
    if any(other["count"] != first["count"] for other in others):
        sys.exit("the files give different numbers of contacts")


if __name__ == "__main__":
    main()
