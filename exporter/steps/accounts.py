"""An account's budget as a step uses it: reserve, wait, hold."""

import math
from dataclasses import dataclass

from exporter.domain import budget as rules
from exporter.domain.budget import AccountBudget, Pace, Slots
from exporter.domain.configuration import Connection
from exporter.domain.hosts import account_key
from exporter.domain.verdict import Verdict
from exporter.steps.events import Event, Metric
from exporter.steps.ports import Ports

DEFAULT_THROTTLE_SECONDS = 60.0
MAX_THROTTLE_SECONDS = 900.0


@dataclass(frozen=True, slots=True)
class Account:
    """The budget of one ActiveCampaign account, and the pace that its connections allow."""

    name: str
    pace: Pace
    ports: Ports

    async def reserve_bulk(
        self,
        *,
        count: int,
        token: str,
        single: bool,
        lead_seconds: float = 0.0,
        ran_late: tuple[str, float] | None = None,
    ) -> Slots | None:
        """Slots for up to `count` bodies; None when `token` holds slots that are still to come.

        `ran_late` names earlier slots and by how many seconds their last request missed its moment.
        """
        reserved: Slots | None = None

        def change(budget: AccountBudget) -> AccountBudget:
            nonlocal reserved
            now = self.now()
            if ran_late is not None:
                budget = rules.postpone_slots(budget, *ran_late)
            if any(slots.token == token and slots.start > now for slots in budget.bulk):
                reserved = None
                return budget
            budget, reserved = rules.reserve_bulk(
                budget, self.pace, now, count=count, token=token, single=single, lead_seconds=lead_seconds
            )
            return budget

        budget = await self._update(change)
        if reserved is not None:
            share = rules.used_share(budget, self.pace, reserved)
            self.ports.telemetry.measure(Metric.BUDGET_USED, round(share, 3), account=self.name)
        return reserved

    async def confirm(self, slots: Slots, lead_seconds: float = 0.0) -> Slots | None:
        """The slots as they may be used now: the same, or later ones; None where others go on with them."""
        confirmed: Slots | None = slots

        def change(budget: AccountBudget) -> AccountBudget:
            nonlocal confirmed
            budget, confirmed = rules.confirm_slots(
                budget, self.pace, self.now(), slots, lead_seconds=lead_seconds
            )
            return budget

        await self._update(change)
        return confirmed

    async def take(self, slots: Slots) -> Slots | None:
        """The slots, in use from now on: a copy of the message that carried them can't give them back.

        None where somebody else has moved them.
        """
        taken: Slots | None = slots

        def change(budget: AccountBudget) -> AccountBudget:
            nonlocal taken
            budget, taken = rules.take_slots(budget, slots)
            return budget

        await self._update(change)
        return taken

    async def trim_slots(self, slots: Slots, used: int) -> None:
        """Give back the slots behind the first `used` ones."""
        if used < slots.count:
            await self._update(lambda budget: rules.trim_slots(budget, slots.token, used))

    async def return_slots(self, slots: Slots) -> None:
        """Give back slots that will not be used."""
        await self._update(lambda budget: rules.return_slots(budget, slots.token))

    async def reserve_general(
        self, count: int, *, within_seconds: float = math.inf, own: float | None = None
    ) -> tuple[float, ...]:
        """Moments for up to `count` calls that are not bulk requests; all but the first soon enough.

        `own` is the last moment that the caller has been given.
        """
        times: tuple[float, ...] = ()

        def change(budget: AccountBudget) -> AccountBudget:
            nonlocal times
            budget, times = rules.reserve_general(
                budget, self.pace, self.now(), count=count, within_seconds=within_seconds, own=own
            )
            return budget

        await self._update(change)
        return times

    async def return_general(self, moments: tuple[float, ...]) -> None:
        """Give back moments that will not be used."""
        if moments:
            await self._update(lambda budget: rules.return_general(budget, moments))

    async def wait_until(self, moment: float) -> None:
        """Sleep until a moment (seconds since the epoch), however the clock is set meanwhile."""
        ends_at = self.ports.clock.monotonic() + moment - self.now()
        while (missing := ends_at - self.ports.clock.monotonic()) > 0:
            await self.ports.clock.sleep(missing)

    async def note_throttle(self, verdict: Verdict) -> None:
        """Everybody on the account pauses as long as the answer says, and then sends more slowly."""
        asked = verdict.retry_after_seconds
        if asked is None:
            asked = DEFAULT_THROTTLE_SECONDS * self.pace.time_scale
        seconds = min(asked, MAX_THROTTLE_SECONDS)
        now = self.now()
        held = await self._update(
            lambda budget: rules.note_throttle(
                budget, self.pace, now, now + seconds, "ActiveCampaign throttles the account"
            )
        )
        self.ports.telemetry.event(
            Event.ACCOUNT_HELD,
            account=self.name,
            seconds=round(seconds, 1),
            why=verdict.detail,
            rate=round(held.slowed_to, 2),
        )

    async def note_outage(self, verdict: Verdict) -> None:
        """ActiveCampaign does not serve: everybody pauses, longer with each failure in a row."""
        now, jitter = self.now(), self.ports.randomness.random()
        held = await self._update(
            lambda budget: rules.note_outage(
                budget, now, jitter, f"ActiveCampaign does not answer as it should: {verdict.detail}"
            )
        )
        self.ports.telemetry.event(
            Event.ACCOUNT_HELD,
            account=self.name,
            seconds=round(held.hold_until - now, 1),
            why=verdict.detail,
        )

    async def note_service(self, settle_samples: tuple[float, ...] = ()) -> None:
        """ActiveCampaign serves; `settle_samples` are seconds that batches took."""

        def change(budget: AccountBudget) -> AccountBudget:
            budget = rules.note_service(budget)
            for seconds in settle_samples:
                budget = rules.note_settled(budget, seconds)
            return budget

        await self._update(change)

    async def usual_settle_seconds(self) -> float:
        """When a batch is worth its first question, counted from its acceptance."""
        return rules.usual_settle_seconds(await self.load(), self.pace)

    async def load(self) -> AccountBudget:
        """The budget as it is now; one that nobody can believe is rebuilt."""
        budget = await self.ports.budgets.load(self.name)
        if rules.believed(budget, self.pace, self.now()) is budget:
            return budget
        return await self._update(lambda believed: believed)

    async def _update(self, change: rules.Change) -> AccountBudget:
        return await self.ports.budgets.update(
            self.name,
            lambda budget: change(rules.believed(budget, self.pace, self.now())),
            rebuilt=rules.rebuilt(self.pace, self.now()),
        )

    def now(self) -> float:
        """The present moment in seconds since the epoch, as budgets and facts count time."""
        return self.ports.clock.now().timestamp()


async def open_account(connection: Connection, ports: Ports) -> Account:
    """The account behind a connection; its limits are the smallest that any connection to it has."""
    name = account_key(connection.host)
    stored = await ports.registry.connections()
    limits = [connection.limits] + [
        other.value.limits for other in stored.values() if account_key(other.value.host) == name
    ]
    pace = rules.pace_for(
        bulk_per_minute=min(limit.bulk_requests_per_minute for limit in limits),
        per_second=min(limit.requests_per_second for limit in limits),
        share=min(limit.share for limit in limits),
    )
    return Account(name, pace, ports)
