"""The reckoning of cost and scale: its figures are the code's, it adds up, and documents show its tables."""

import re
from pathlib import Path
from typing import Any, Final

import pytest

from bench import cost
from bench.cost import Prices, Usage, bill, delivery, standing
from exporter.domain import budget
from exporter.domain.chunk import MAX_CHUNK_BODIES
from tests.rate.test_rate import SECONDS_PER_BODY

ROOT: Final = Path(__file__).parents[2]
PRICES: Final = Prices()
QUEUES: Final[dict[str, Any]] = cost.HOST_JSON["extensions"]["queues"]


def text_of(path: str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def test_its_figures_are_those_of_the_code() -> None:
    assert cost.WINDOW_SECONDS == budget._WINDOW_SECONDS
    assert MAX_CHUNK_BODIES == budget._BULK_COUNT
    assert cost.BODY_SECONDS == SECONDS_PER_BODY
    assert QUEUES["maxPollingInterval"] == f"00:00:{cost.POLL_SECONDS:02}"
    assert cost.HOST_JSON["functionTimeout"] == f"00:{cost.TIMEOUT_SECONDS // 60:02}:00"
    app = text_of("function_app.py")
    assert f'schedule="*/{cost.SWEEP_EVERY_SECONDS} * * * * *"' in app
    assert app.count("@app.queue_trigger") + app.count("@app.blob_trigger") == cost.QUEUE_LISTENERS


def test_a_million_contacts_are_4000_bodies_in_41_chunks() -> None:
    usage = delivery(1_000_000)

    assert usage.blob_reads + usage.blob_writes == 4_000 * cost.BLOB_OPERATIONS_PER_BODY
    assert usage.logged_bytes >= 8_000 * cost.REQUEST_LOGGED_BYTES
    assert usage.active_seconds == pytest.approx(60 + 1_700 + 41 * 61.2 + 42 * cost.FOLD_SECONDS)


def test_twice_the_contacts_cost_about_twice_as_much() -> None:
    one, two = (
        bill(delivery(contacts), PRICES, memory_mb=512, free_grant=False) for contacts in (10**6, 2 * 10**6)
    )

    assert two.total == pytest.approx(2 * one.total, rel=0.02)


def test_a_million_costs_at_most_15_cents_on_small_instances() -> None:
    assert bill(delivery(1_000_000), PRICES, memory_mb=512, free_grant=False).total <= 0.15


def test_memory_is_paid_in_proportion_and_the_free_grant_only_once_used_up() -> None:
    usage = Usage(active_seconds=400_000)
    small, large = (
        bill(usage, PRICES, memory_mb=memory, free_grant=False).compute for memory in (512, 2_048)
    )
    granted = bill(usage, PRICES, memory_mb=512).compute

    assert large == pytest.approx(4 * small)
    assert granted == pytest.approx(100_000 * PRICES.gb_second)
    assert bill(Usage(active_seconds=200_000), PRICES, memory_mb=512).compute == 0


def test_usage_adds_up() -> None:
    day = standing(1, segments=3)

    assert day + day == day.times(2) == standing(2, segments=3)
    assert standing(1, segments=4).blob_writes - day.blob_writes == day.executions


def test_a_bill_is_the_sum_of_its_parts() -> None:
    usage = Usage(blob_writes=1e4, blob_reads=1e4, queue_requests=1e4, stored_bytes=1e9, logged_bytes=1e9)
    paid = bill(usage, Prices(), memory_mb=512, alerts=3.00)

    assert paid.storage == pytest.approx(0.05 + 0.004 + 0.004 + 0.02)
    assert (paid.logs, paid.alerts, paid.compute, paid.network) == (2.30, 3.00, 0, 0)
    assert paid.total == pytest.approx(paid.storage + 5.30)


def test_a_limit_carries_no_more_than_there_is() -> None:
    for limit in cost.limits():
        assert limit.accounts * limit.taken <= limit.there < (limit.accounts + 1) * limit.taken, limit


@pytest.mark.parametrize("memory", [512, 2_048])
def test_deployments_are_as_many_as_the_first_limit_asks_for(memory: int) -> None:
    at_once = cost.accounts_at_once(memory)

    assert 0 < at_once == min(
        limit.accounts for limit in cost.limits()[:-1] if not limit.name.startswith("instances")
        or f"{memory:,}" in limit.name
    )  # fmt: skip
    assert cost.instances(at_once) <= cost.FLEX_INSTANCES


@pytest.mark.parametrize(
    ("page", "table"),
    [
        ("docs/operations.md", cost.million_table(PRICES)),
        ("docs/operations.md", cost.month_table(PRICES)),
        ("docs/scale.md", cost.limits_table()),
        ("docs/scale.md", cost.together_table()),
        ("docs/scale.md", cost.spread_table()),
    ],
)
def test_the_documents_show_its_tables(page: str, table: str) -> None:
    assert table in text_of(page), f"put this into {page}:\n{table}"


def test_the_documents_have_its_figures() -> None:
    scale, operations = (" ".join(text_of(page).split()) for page in ("docs/scale.md", "docs/operations.md"))

    assert f"{cost.contacts_per_day():,} contacts a day" in scale
    assert f"{cost.contacts_per_minute():,} contacts a minute" in scale
    assert f"{cost.segments_in_time():,} segments" in scale
    assert f"in any {cost.WINDOW_SECONDS} s" in scale
    assert f"${cost.segment_month(PRICES):.2f} a month" in operations


def test_the_documents_have_its_prices() -> None:
    page = text_of("docs/operations.md").partition("## Cost")[2].partition("\n## ")[0]

    alerts = (PRICES.quick_alert, PRICES.slow_alert, PRICES.metric_alert)
    for price in (PRICES.million_executions, PRICES.gb_logged, PRICES.gb_out, *alerts):
        assert re.search(rf"\${price:.3f}?0?\b".replace(".", r"\."), page) or f"${price:g}" in page, price
    assert f"${PRICES.gb_second:f}" in page


def test_the_readme_has_its_sums() -> None:
    readme = " ".join(text_of("README.md").split())
    small, large = (
        bill(delivery(1_000_000), PRICES, memory_mb=memory, free_grant=False).total for memory in (512, 2_048)
    )
    idle = [
        bill(standing(30, segments=10), PRICES, memory_mb=memory, alerts=cost.alerts_month(PRICES, 10)).total
        for memory in (512, 2_048)
    ]

    assert f"a million contacts ${small:.2f} to ${large:.2f}" in readme
    assert "A month costs some $30 while nothing runs" in readme
    assert [round(total, -1) for total in idle] == [30, 30]


def test_sending_and_following_up_have_instances_of_their_own() -> None:
    assert [cost.instances(accounts) for accounts in (0.01, 1, 4, 5, 100)] == [2, 2, 2, 4, 50]


def test_every_alert_is_paid_for_by_how_often_it_looks() -> None:
    logs = text_of("infra/alerts.bicep").partition("\nvar rules = [")[2].partition("\n]")[0]
    metrics = text_of("infra/event-alerts.bicep").partition("\nvar rules = [")[2].partition("\n]")[0]

    assert logs.count("frequency: 'PT5M'") == cost.QUICK_ALERTS
    assert (
        logs.count("frequency: 'PT15M'") == logs.count("frequency:") - cost.QUICK_ALERTS == cost.SLOW_ALERTS
    )
    assert len(re.findall(r"^    name: ", metrics, re.MULTILINE)) == cost.METRIC_ALERTS


def test_the_runbooks_reckon_alerts_with_the_same_prices() -> None:
    runbooks = " ".join(text_of("docs/runbooks.md").split())

    standing_sum = (
        f"= {cost.alerts_month(PRICES, 0):.2f}, and {PRICES.slow_alert:.2f} for each expected export"
    )
    assert standing_sum in runbooks
