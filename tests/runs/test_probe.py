"""The probe over real sockets: nothing differs by default, and one changed switch is the one difference."""

import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final, Literal, cast, get_args, get_origin

import orjson
import pytest

from exporter.adapters.activecampaign.raw import open_raw
from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.secrets import SecretReader
from exporter.domain.hosts import HostPolicy, account_key
from exporter.errors import ConfigurationError, RetryLaterError
from exporter.settings import SecretText
from exporter.steps.accounts import open_account
from exporter.steps.ports import Ports
from exporter.steps.probe import Prober, probe_reading
from exporter.steps.probe_questions import QUESTIONS, Finding
from exporter.steps.probe_writes import TAG, WriteProbe, remove_contacts
from sandbox.activecampaign import SimulatedActiveCampaign, SimulatorSettings
from sandbox.activecampaign.__main__ import read_arguments
from sandbox.azurite import Azurite
from tests.builders import a_connection
from tests.fakes.budgets import FakeBudgetStore
from tests.fakes.registry import FakeRegistry
from tests.fakes.storage import FakeStorage, Process
from tests.fakes.telemetry import FakeTelemetry
from tests.runs.site import KEY, Site, running_simulator

SPEED: Final = 20
"""Simulator and pace alike are so much faster than the real ones."""
LIMITS: Final = {"bulk_requests_per_minute": 100 * SPEED, "requests_per_second": 5 * SPEED}
LIST: Final = "3"
TOKEN: Final = "0123456789ab"

NUMBERS: Final = {"requests_per_second": "10", "default_page": "30", "largest_page": "50"}
"""An unusual value for each setting that takes any number."""

UNSEEN: Final = {
    "what the account holds": {
        "key",
        "account",
        "utc_offset_minutes",
        "start",
        "speed",
        "lists",
        "filler_fields",
        "plan_limit",
        "request_log_size",
        "progress_days",
    },
    "only a throttle shows it, and none is provoked": {
        "limits_enforced",
        "bulk_requests_per_minute",
        "single_requests_per_minute",
        "window",
        "rejected_requests_count",
        "throttled_requests_count",
        "general_throttle",
        "retry_after_seconds",
        "bulk_throttle",
    },
    "only a full account shows it": {"over_plan_limit"},
    "which addresses go wrong is chosen, not found out": {
        "refused_addresses",
        "refuses",
        "failing_addresses",
        "fails",
    },
    "how long things take": {
        "processing",
        "processing_seconds",
        "contacts_per_minute",
        "unlimited_processing_seconds",
        "status_false_seconds",
    },
    "the importer can't make such a contact": {"unconfirmed_becomes_subscribed", "hard_bounced_fail"},
    "needs an address outside the domains that are reserved": {"dotless_domains_fail"},
    "needs an exclusion, which a person makes": {"exclusions_fail"},
    "automations stay excluded": {"watched_lists", "watched_tags", "watched_fields"},
    "needs somebody who listens": {"callback_body", "callbacks_lost", "webhooks_for_bulk"},
    "on routes that the exporter never uses": {
        "plural_sync",
        "sync_update_status",
        "invalid_email_status",
        "duplicate_tag",
    },
}
"""The simulator's settings that the probe can't see, by the reason."""


def switches() -> dict[str, set[str]]:
    """Every switch that the probe can name, with the questions that show it."""
    found: dict[str, set[str]] = {}
    for question in QUESTIONS.values():
        for switch in question.switches.values():
            found.setdefault(switch, set()).add(question.name)
        if question.number is not None:
            found[f"{question.number}={NUMBERS[question.number]}"] = {question.name}
    return found


@dataclass
class Bench:
    """A probe of a simulator that runs here."""

    simulator: SimulatedActiveCampaign
    prober: Prober
    writing: WriteProbe
    budgets: FakeBudgetStore

    @property
    def findings(self) -> dict[str, Finding]:
        return self.prober.findings

    @property
    def requests(self) -> list[Any]:
        """What arrived, oldest first."""
        return list(self.simulator.state.counters.requests)

    async def ask_everything(self) -> None:
        await probe_reading(self.prober)
        await self.writing.check_list()
        await self.writing.run()


@asynccontextmanager
async def a_bench(*switched: str) -> AsyncIterator[Bench]:
    """A simulator with switches as on its command line, and a probe that asks it."""
    arguments = [argument for switch in switched for argument in ("--set", switch)]
    _, settings = read_arguments([*arguments, "--speed", str(SPEED), "--key", KEY])
    clock = SystemClock()
    async with SimulatedActiveCampaign(settings) as simulator:
        connection = a_connection(host=simulator.host, limits=LIMITS)
        process = Process(FakeStorage(clock, random.Random(0), slowest_seconds=0), "me")
        budgets = FakeBudgetStore(process)
        ports = cast(
            "Ports",
            SimpleNamespace(
                clock=clock,
                randomness=SystemRandomness(),
                telemetry=FakeTelemetry(),
                registry=FakeRegistry(),
                budgets=budgets,
            ),
        )
        secrets = SecretReader(None, {connection.secret: SecretText(KEY)}, clock)
        policy = HostPolicy(local_hosts=(simulator.host,))
        async with open_raw(connection, secrets, policy, clock) as destination:
            prober = Prober(connection, await open_account(connection, ports), destination, ports)
            yield Bench(simulator, prober, WriteProbe(prober, LIST, TOKEN), budgets)


def differences(findings: dict[str, Finding]) -> dict[str, str | None]:
    """Questions that the account answers otherwise than the simulator's default, with their switches."""
    return {name: finding.switch for name, finding in findings.items() if finding.differs}


async def test_by_default_nothing_differs() -> None:
    async with a_bench() as bench:
        await bench.ask_everything()

        assert differences(bench.findings) == {}
        assert {name for name, finding in bench.findings.items() if finding.answer is None} == set()
        assert bench.findings.keys() == QUESTIONS.keys()
        counters = bench.simulator.counters()
        assert counters["requests"] == bench.prober.request_count
        throttled = [count for name, count in counters.items() if name.startswith("throttled")]
        assert throttled == [0, 0, 0]
        assert counters["resubscriptions"] == {"2->1": 0, "3->1": 0}
        assert counters["automation_runs"] == 0


@pytest.mark.parametrize("switch", sorted(switches()))
async def test_a_changed_switch_is_the_only_difference(switch: str) -> None:
    questions = switches()[switch]
    async with a_bench(switch) as bench:
        await probe_reading(bench.prober)
        if any(QUESTIONS[name].writes for name in questions):
            await bench.writing.run()

        assert differences(bench.findings) == dict.fromkeys(questions, switch)


def test_the_table_of_switches_fits_the_simulator() -> None:
    default = SimulatorSettings()
    named: dict[str, set[object]] = {}
    for switch in switches():
        _, changed = read_arguments(["--set", switch])
        name = switch.partition("=")[0]
        assert getattr(changed, name) != getattr(default, name), switch
        named.setdefault(name, set()).add(getattr(changed, name))
    for question in QUESTIONS.values():
        if question.number is not None:
            assert question.simulator == str(getattr(default, question.number))
    for name, values in named.items():
        annotation = SimulatorSettings.model_fields[name].annotation
        choices = {True, False} if annotation is bool else set(get_args(annotation))
        if annotation is bool or get_origin(annotation) is Literal:
            assert values == choices - {getattr(default, name)}, name
    unseen = [name for names in UNSEEN.values() for name in names]
    assert sorted([*named, *unseen]) == sorted(SimulatorSettings.model_fields)


async def test_reading_writes_nothing() -> None:
    async with a_bench() as bench:
        await probe_reading(bench.prober)

        assert {visit.method for visit in bench.requests} == {"GET"}
        assert bench.findings.keys() == {name for name, asked in QUESTIONS.items() if not asked.writes}
        assert KEY not in str(bench.findings)


async def test_writing_is_marked_excluded_from_automations_and_small() -> None:
    async with a_bench() as bench:
        await bench.ask_everything()

        posts = [visit for visit in bench.requests if visit.method == "POST"]
        assert {visit.path for visit in posts} == {"/api/3/import/bulk_import"}
        assert all(visit.exclude_automations for visit in posts)
        assert min(visit.contacts for visit in posts) == 2
        written = [bench.simulator.state.view(contact) for contact in bench.simulator.state.contacts]
        assert 0 < len(written) <= 10
        for contact in written:
            assert TOKEN in contact["email"]
            assert contact["email"].endswith("example.com")
            assert contact["tags"] == [TAG]
            assert set(contact["lists"]) <= {LIST}


@pytest.mark.parametrize("switch", ["contacts_per_bulk_request=251", "bytes_per_bulk_request=400002"])
async def test_an_account_that_takes_too_much_gets_two_contacts_of_it(switch: str) -> None:
    async with a_bench(switch) as bench:
        await bench.writing._ask_refusals()
        for name in bench.writing._batches:
            await bench.writing._follow(name)

        assert len(bench.simulator.state.contacts) == 2


async def test_removing_takes_contacts_with_both_marks_only() -> None:
    async with a_bench() as bench:
        await bench.ask_everything()
        written = len(bench.simulator.state.contacts)
        bench.simulator.seed(email=f"{TAG}-{TOKEN}-untagged@example.com")
        bench.simulator.seed(email=f"{TAG}-ffffffffffff-other@example.com", tags=[TAG])

        removed = await remove_contacts(bench.prober, TOKEN)

        assert removed == written
        assert [contact.email for contact in bench.simulator.state.contacts] == [
            f"{TAG}-{TOKEN}-untagged@example.com",
            f"{TAG}-ffffffffffff-other@example.com",
        ]
        assert await remove_contacts(bench.prober, TOKEN) == 0


async def test_a_missing_list_is_found_before_anything_is_written() -> None:
    async with a_bench() as bench:
        bench.writing.list_id = "99"
        with pytest.raises(ConfigurationError, match="list 99 can't be used"):
            await bench.writing.check_list()

        assert bench.simulator.counters()["bulk_requests"] == 0


@pytest.mark.parametrize("action", ["throttle_429", "throttle_429_bare", "throttle_bulk", "throttle_503"])
async def test_a_throttle_ends_the_probe_without_another_request(action: str) -> None:
    async with a_bench() as bench:
        bench.simulator.install_fault("bulk", action, [1])
        with pytest.raises(RetryLaterError, match="would answer no more"):
            await bench.writing.run()

        assert bench.prober.request_count == len(bench.requests) == 1
        held = await bench.budgets.load(account_key(bench.simulator.host))
        assert (held.hold_until > 0) == (action != "throttle_503")


async def test_an_account_on_hold_is_not_asked() -> None:
    async with a_bench() as bench:
        account = bench.prober.account
        account_on_hold = {**(await account.load()).to_json(), "hold_until": account.now() + 600}
        process = bench.budgets._process
        process.storage.put(f"budgets/{account.name}.json", orjson.dumps(account_on_hold))

        for ask in (probe_reading(bench.prober), bench.writing._ask_refusals()):
            with pytest.raises(RetryLaterError, match="no moment for the probe"):
                await ask

        assert bench.requests == []
        budget = await account.load()
        assert (budget.bulk, budget.general) == ((), ())


async def test_a_key_that_does_not_work_ends_the_probe_at_its_first_question() -> None:
    async with a_bench("key=another") as bench:
        bench.simulator.state.keys.rotate("another")
        with pytest.raises(ConfigurationError, match="exporter connection test acme"):
            await probe_reading(bench.prober)

        assert len(bench.requests) == 1


async def test_an_answer_that_gets_lost_ends_the_probe() -> None:
    async with a_bench() as bench:
        bench.simulator.install_fault("lists", "reset_before", [1])
        with pytest.raises(RetryLaterError, match="did not answer GET lists"):
            await probe_reading(bench.prober)

        assert len(bench.requests) == 2


def test_the_command_probes_an_account_and_tidies_up(tmp_path: Path) -> None:
    options = ("--speed", str(SPEED), "--set", "apostrophes_fail=false")
    with running_simulator(*options) as simulator, Azurite() as storage:
        environ = {
            "EXPORTER_STORAGE": storage.connection_string,
            "EXPORTER_LOCAL_HOSTS": simulator.host,
            "EXPORTER_SECRET_ACTIVECAMPAIGN_ACME": KEY,
        }
        site = Site(tmp_path, environ, simulator, cast("Any", None))
        assert site.apply({"id": "vip"}, limits=LIMITS).code == 0

        refused = site.run("probe", "acme", "--write-to-list", LIST)
        answer = site.run("probe", "acme", "--write-to-list", LIST, "--yes", "--remove")
        shown = site.run("probe", "acme", as_json=False)

        assert (refused.code, refused.document["error"]["code"]) == (2, "usage")
        assert answer.code == 0
        document = answer.document
        assert document["switches"] == ["apostrophes_fail=false"]
        assert [entry["question"] for entry in document["findings"]] == list(QUESTIONS)
        assert [entry["question"] for entry in document["findings"] if entry["differs"]] == ["apostrophe"]
        assert document["written"]["removed"] > 0
        assert simulator.contacts() == {}
        assert shown.code == 0
        assert "The simulator's defaults fit this account." in shown.document
        assert "@" not in answer.notes + shown.notes
        assert KEY not in str(document) + shown.document
