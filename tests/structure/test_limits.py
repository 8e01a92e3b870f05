"""docs/limits.md and docs/privacy.md have the figures of the code."""

from pathlib import Path
from typing import Final

import pytest

from bench import cost
from exporter.domain import address, budget, chunk, csv_table, parquet, progress, reading, retention
from exporter.domain.drop import END_MARKERS
from exporter.domain.planning import PlanLimits
from exporter.steps import erase, plan, receive, settle, sweep
from exporter.steps.messages import MAX_MESSAGE_BYTES

DOCS: Final = Path(__file__).parents[2] / "docs"
PAGE: Final = (DOCS / "limits.md").read_text(encoding="utf-8")
PRIVACY: Final = " ".join((DOCS / "privacy.md").read_text(encoding="utf-8").split())
PLAN: Final = PlanLimits()
MINUTES: Final = round(1_000_000 / cost.contacts_per_minute())
WINDOW: Final = budget._WINDOW_SECONDS
OLDEST_HOURS: Final = receive.OLDEST_DROP.total_seconds() / 3600


@pytest.mark.parametrize(
    "line",
    [
        f"| rows of a drop | {PLAN.max_rows:,} |",
        f"| bytes of a drop | {PLAN.max_bytes // 1024**3} GiB uncompressed |",
        f"| rows that are comfortable | a million in {MINUTES} minutes |",
        f"ten million take {round(10 * MINUTES / 60)} hours",
        f"at most {PLAN.max_ratio} times its size after the first {reading.RATIO_FREE_BYTES:,} bytes",
        f"| a value | {PLAN.value_characters:,} characters",
        f"over {csv_table.MAX_VALUE_CHARACTERS:,} the file is refused",
        f"| a line | {csv_table.MAX_LINE_CHARACTERS:,} characters |",
        f"| Parquet | a directory of {parquet.MAX_FOOTER_BYTES:,} bytes; {parquet.MAX_GROUP_BYTES:,} bytes",
        f"| reading a drop | {plan.PLAN_SECONDS:.0f} s,",
        f"| address | {address.MAX_ADDRESS_CHARACTERS} characters, {address.MAX_LOCAL_CHARACTERS} before the",
        f"| a contact | {chunk.MAX_BODY_BYTES:,} bytes",
        f"| request | {chunk.MAX_BODY_CONTACTS} contacts and {chunk.MAX_BODY_BYTES:,} bytes",
        f"| tries of a request | {progress.MAX_TRIES},",
        f"| a batch without a final state | {settle.UNSETTLED_SECONDS / 3600:.0f} hours,",
        f"| {budget.DOCUMENTED_BULK_PER_MINUTE} a minute | {budget._BULK_COUNT} in any {WINDOW} s |",
        f"{budget._SINGLE_COUNT} in any {WINDOW} s |",
        f"| {budget.DOCUMENTED_PER_SECOND} a second | one each {budget._GENERAL_GAP_SECONDS} s |",
        f"between {sweep.UNANNOUNCED.total_seconds():.0f} s and {OLDEST_HOURS:.0f} h after the drop landed",
        f"put anew after {sweep.STALLED.total_seconds():.0f} s",
        f"| a drop is kept | {retention.DROP_DAYS} days",
        f"| rejects | {retention.REJECT_DAYS} days |",
        f"| what is left to send of a run | {retention.CHUNK_DAYS} days;",
        f"| record of a run | {retention.RUN_DAYS} days |",
        f"| one call of a function | {cost.TIMEOUT_SECONDS // 60} min |",
        f"| message on a queue | {MAX_MESSAGE_BYTES} bytes;",
        f"| {cost.FLEX_INSTANCES:,}; {cost.FLEX_CORES} by default |",
        f"| {cost.ACCOUNT_REQUESTS_PER_SECOND:,} by default |",
        f"| messages a second on one queue | {cost.QUEUE_MESSAGES_PER_SECOND:,} |",
    ],
)
def test_a_figure_is_the_codes(line: str) -> None:
    assert line in PAGE


def test_the_end_markers_are_named() -> None:
    assert all(f"`{marker}`" in PAGE for marker in END_MARKERS)


@pytest.mark.parametrize(
    "line",
    [
        f"{retention.DROP_DAYS} days (`EXPORTER_DROP_RETENTION_DAYS`)",
        f"nothing is left to send, else {retention.CHUNK_DAYS} days |",
        f"addresses that were rejected or refused, with the reason | {retention.REJECT_DAYS} days |",
        f"{retention.RUN_DAYS} days (runs), or for good (configuration)",
        f"{retention.DROP_DAYS} days (files, rejects), {retention.CHUNK_DAYS} days (requests)",
        f"Blocks of unfinished uploads**: {erase.UNCOMMITTED_DAYS} days",
    ],
)
def test_people_are_kept_as_long_as_the_page_on_privacy_says(line: str) -> None:
    assert line in PRIVACY
