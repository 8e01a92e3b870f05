"""Measure the simulated ActiveCampaign under a full-sized export: time, CPU and memory of a real process.

    .venv/bin/python bench/simulator.py                  # 4,000 bodies of 250 contacts
    .venv/bin/python bench/simulator.py --bodies 400

It starts `python -m sandbox.activecampaign --no-limits`, posts full bodies over one socket as an export would
send them (names, phone, a custom field, tags, a subscription), and then asks what an integration asks of a
full account. It prints figures and judges nothing. CPU and memory are read from /proc, so it runs on Linux.
"""

import argparse
import http.client
import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # `python bench/simulator.py` puts bench/ there, not the checkout

from sandbox.processes import Child  # noqa: E402 - needs the path set above

HEADERS = {"Api-Token": "sandbox-key", "Content-Type": "application/json"}
ROWS_PER_BODY = 250
PAGE = 100
LIST_ID = 5
START_SECONDS = 30.0
FIRST_NAMES = ("Ada", "Ben", "Chloe", "Łukasz", "Søren", "Σοφία", "春子", "Femi")
LAST_NAMES = ("Archer", "O'Hara", "Ørsted", "van Dijk", "Smith-Jones", "García-Pérez")
CITIES = ("Bergen", "Cádiz", "Đà Nẵng", "Gent", "Springfield, Ohio", "Ulm")


def main() -> None:
    """Run the measurements that the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bodies", type=int, default=4_000, help="full bodies to post (4000)")
    parser.add_argument("--pages", type=int, default=200, help="pages to read in each sweep (200)")
    options = parser.parse_args()
    command = [sys.executable, "-m", "sandbox.activecampaign", "--no-limits"]
    with Child(command, cwd=ROOT) as child:
        ready = orjson.loads(child.read_line(time.monotonic() + START_SECONDS))
        Measurement(child.pid, ready["host"]).run(options.bodies, options.pages)


class Measurement:
    """One simulator, one connection to it, and what they take."""

    def __init__(self, pid: int, host: str) -> None:
        self._pid = pid
        self._connection = http.client.HTTPConnection(host)

    def run(self, bodies: int, pages: int) -> None:
        """Fill the account, fill it again, and read it."""
        say(f"just started: {self._peak_megabytes():,.0f} MB")
        self._import("new contacts", bodies)
        self._import("the same again", bodies)
        contacts = bodies * ROWS_PER_BODY
        say(f"\nreading an account of {contacts:,} contacts, {PAGE} a page: first page, then median, worst")
        listed = f"contacts?limit={PAGE}&orders[id]=ASC&listid={LIST_ID}&status=1"
        self._sweep("all, by id_greater", f"contacts?limit={PAGE}&orders[id]=ASC", pages)
        self._sweep("members of a list, by id_greater", listed, pages)
        self._sweep("the same during an import", listed, pages, between=self._body_between(bodies))
        updated = f"contacts?limit={PAGE}&include=contactLists&filters[updated_after]=2020-01-01"
        self._sweep("updated since, with memberships", updated, pages)
        step = max(contacts // pages, PAGE)
        self._ask("all, by offset", [f"contacts?limit={PAGE}&offset={n * step}" for n in range(pages)])
        self._ask("newest first", [f"contacts?limit={PAGE}&orders[id]=DESC&offset={n}" for n in range(pages)])
        self._ask("one by address", [f"contacts?email=p{n}@example.org" for n in range(pages)])
        self._ask(
            "ten by id", ["contacts?" + "&".join(f"ids[]={n + i}" for i in range(10)) for n in range(pages)]
        )
        self._ask("progress of imports", ["import/bulk_import"] * pages)
        self._ask("counters", ["counters"] * pages, root="/_sandbox/")
        started = time.perf_counter()
        size = len(self._get("/_sandbox/contacts"))
        say(f"every contact as lines: {size / 1e6:,.0f} MB in {time.perf_counter() - started:.1f} s")
        say(f"at the end: {self._peak_megabytes():,.0f} MB at most")

    def _import(self, title: str, bodies: int) -> None:
        cpu_before, sent, busy, slowest = self._cpu_seconds(), 0, 0.0, 0.0
        for number in range(bodies):
            body = full_body(number)
            sent += len(body)
            started = time.perf_counter()
            self._post(body)
            took = time.perf_counter() - started
            busy += took
            slowest = max(slowest, took)
        self._drained()
        cpu = self._cpu_seconds() - cpu_before
        say(
            f"{title}: {bodies:,} bodies of {sent / bodies / 1e3:.0f} kB; waited {busy:.1f} s "
            f"({busy / bodies * 1e3:.1f} ms a body, worst {slowest * 1e3:.0f}); CPU {cpu:.1f} s "
            f"({cpu / bodies * 1e3:.1f} ms a body); {self._peak_megabytes():,.0f} MB at most"
        )

    def _drained(self) -> None:
        while orjson.loads(self._get("/_sandbox/counters"))["open_batches"]:
            time.sleep(0.01)

    def _body_between(self, bodies: int) -> Callable[[int], None]:
        return lambda turn: self._post(full_body(bodies + turn))

    def _sweep(
        self, title: str, query: str, pages: int, *, between: Callable[[int], None] = lambda _: None
    ) -> None:
        last = ""
        times: list[float] = []
        for turn in range(pages):
            between(turn)
            started = time.perf_counter()
            page = orjson.loads(self._get(f"/api/3/{query}&id_greater={last or 0}"))["contacts"]
            times.append(time.perf_counter() - started)
            if not page:
                break
            last = page[-1]["id"]
        say_times(title, times)

    def _ask(self, title: str, paths: list[str], *, root: str = "/api/3/") -> None:
        times: list[float] = []
        for path in paths:
            started = time.perf_counter()
            self._get(root + path)
            times.append(time.perf_counter() - started)
        say_times(title, times)

    def _get(self, path: str) -> bytes:
        self._connection.request("GET", path, headers=HEADERS)
        return self._answer()

    def _post(self, body: bytes) -> None:
        self._connection.request("POST", "/api/3/import/bulk_import", body, HEADERS)
        self._answer()

    def _answer(self) -> bytes:
        with self._connection.getresponse() as answer:
            content = answer.read()
        if answer.status != http.client.OK:
            raise SystemExit(f"HTTP {answer.status}: {content[:200].decode(errors='replace')}")
        return content

    def _cpu_seconds(self) -> float:
        # Fields 14 and 15 of proc(5)'s stat; the command's name in brackets may hold spaces.
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _peak_megabytes(self) -> float:
        status = Path(f"/proc/{self._pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) * 1024 / 1e6


def full_body(number: int) -> bytes:
    """One bulk post of 250 contacts that no other body holds."""
    first = number * ROWS_PER_BODY
    rows = list(contacts(first, first + ROWS_PER_BODY))
    return orjson.dumps({"contacts": rows, "exclude_automations": True})


def contacts(start: int, end: int) -> Iterator[dict[str, object]]:
    """Contacts as an export sends them; number n is p{n}@example.org."""
    for number in range(start, end):
        yield {
            "email": f"p{number}@example.org",
            "first_name": FIRST_NAMES[number % len(FIRST_NAMES)],
            "last_name": LAST_NAMES[number % len(LAST_NAMES)],
            "phone": f"+47{number:08d}",
            "tags": ["from-segment", f"tier-{number % 3}"],
            "fields": [{"id": 1, "value": CITIES[number % len(CITIES)]}],
            "subscribe": [{"listid": LIST_ID}],
        }


def say(text: str) -> None:
    """Print a line at once, also into a pipe."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def say_times(title: str, times: list[float]) -> None:
    """Print what a series of requests took."""
    later = times[1:] or times
    figures = (times[0], statistics.median(later), max(later))
    say(f"{title}: " + ", ".join(f"{seconds * 1e3:.1f} ms" for seconds in figures))


if __name__ == "__main__":
    main()
