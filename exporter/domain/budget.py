"""One account's request budget: who may send when, so that no limit of ActiveCampaign is met.

The budget is one small document per account, shared by all runs, exports and instances and swapped by
ETag; the functions here are what a swap does. Nothing is counted after the fact: a sender first reserves
*slots* (moments at which it may send) and then keeps to them.

Two limits hold at once (developers.activecampaign.com/reference/rate-limits and
/reference/bulk-import-contacts): bulk requests a minute, and requests of any kind a second. Margins are
for requests that reach the server late: 98 bodies in any 61.2 s instead of 100 in 60 s, 0.35 s between
two bodies instead of 0.2 s. With these figures the rate simulation meets no throttled request.

All times are seconds since the epoch.
"""

import math
import statistics
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any, Final, Self, TypeAlias

from exporter.domain.schema import check_schema

SCHEMA: Final = 1

DOCUMENTED_BULK_PER_MINUTE: Final = 100
DOCUMENTED_PER_SECOND: Final = 5

_WINDOW_SECONDS: Final = 61.2
_BULK_COUNT: Final = 98
_SINGLE_COUNT: Final = 19
_BODY_GAP_SECONDS: Final = 0.35
_LOT_SECONDS: Final = 45.0
"""No lot takes longer than this, so that its claim outlasts it."""
_GENERAL_GAP_SECONDS: Final = 0.35
_BUSY_GENERAL_GAP_SECONDS: Final = 1.25
_TAKEN: Final = "*"
_GENERAL_TURN_SECONDS: Final = 0.3
"""More between two reservations of other calls, whose makers' clocks may differ."""
_LATE_SECONDS: Final = 0.5
_SMALLEST_KEPT_SCALE: Final = 0.05
"""A stand-in that is faster still has no limits worth keeping to the moment."""
_FIRST_SETTLE_SECONDS: Final = 5.0
_SHORTEST_SETTLE_SECONDS: Final = 1.0
_SETTLE_SAMPLES: Final = 15
_MAX_OUTAGE_PAUSE_SECONDS: Final = 300.0
_FIRST_SLOWING: Final = 0.9
_SLOWING: Final = 0.7
"""What is left of the rate after a throttle, which may be chance, and after another while it is lowered."""
_SLOWEST: Final = 0.2
_RECOVERY_SECONDS: Final = 1200.0
"""A rate of nothing would be whole again after so long: five points a minute."""
_STRAGGLER_SECONDS: Final = 5.0
"""Throttles that soon after a hold answer requests that were under way when it began."""
_REBUILDING_SECONDS: Final = 62.0
_FARTHEST_SECONDS: Final = 1800.0
"""Twice the longest hold: apart from slow paces no rule leaves that much time before the next moment."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast one account may be used; all lengths in seconds."""

    bulk_count: int
    """Bulk requests in any `window_seconds`."""
    single_count: int
    """Of those, requests that carry one contact only."""
    window_seconds: float
    body_gap_seconds: float
    """Between two bodies of a lot."""
    lot_gap_seconds: float
    """Between the last body of a lot and the first of the next."""
    general_turn_seconds: float
    """More than that between the calls of two who ask."""
    general_gap_seconds: float
    """Between two other calls while nobody sends bodies."""
    busy_general_gap_seconds: float
    """Between two other calls while a lot is being sent."""
    late_seconds: float
    """A body that could leave only so much later than its slot has lost it."""
    time_scale: float
    """1 at the documented limits; smaller where a local stand-in runs faster."""

    def reduced(self, part: float) -> "Pace":
        """The pace that uses only a part (0 to 1] of what this one allows."""
        body_gap = self.body_gap_seconds / part
        return replace(
            self,
            bulk_count=max(1, min(math.floor(self.bulk_count * part), math.floor(_LOT_SECONDS / body_gap))),
            single_count=max(1, math.floor(self.single_count * part)),
            body_gap_seconds=body_gap,
            lot_gap_seconds=self.lot_gap_seconds / part,
            general_gap_seconds=self.general_gap_seconds / part,
            busy_general_gap_seconds=self.busy_general_gap_seconds / part,
        )


def pace_for(bulk_per_minute: float, per_second: float, share: float = 1.0) -> Pace:
    """The pace that keeps `share` (0 to 1] of the given limits.

    Above the documented limits the lot stays as it is and its times shrink (only a local stand-in is
    that fast); below them fewer requests fit into the same window.
    """
    time_scale = min(1.0, DOCUMENTED_BULK_PER_MINUTE / bulk_per_minute)
    fewer = min(1.0, bulk_per_minute / DOCUMENTED_BULK_PER_MINUTE)
    gap_scale = DOCUMENTED_PER_SECOND / per_second
    body_gap = _BODY_GAP_SECONDS * gap_scale
    late = _LATE_SECONDS * time_scale if time_scale >= _SMALLEST_KEPT_SCALE else math.inf
    whole = Pace(
        bulk_count=max(1, min(math.floor(_BULK_COUNT * fewer), math.floor(_LOT_SECONDS / body_gap))),
        single_count=max(1, math.floor(_SINGLE_COUNT * fewer)),
        window_seconds=_WINDOW_SECONDS * time_scale,
        body_gap_seconds=body_gap,
        lot_gap_seconds=body_gap + (late if late < math.inf else 0.0),
        general_turn_seconds=_GENERAL_TURN_SECONDS * time_scale,
        general_gap_seconds=_GENERAL_GAP_SECONDS * gap_scale,
        busy_general_gap_seconds=_BUSY_GENERAL_GAP_SECONDS * gap_scale,
        late_seconds=late,
        time_scale=time_scale,
    )
    return whole.reduced(share)


@dataclass(frozen=True, slots=True)
class Slots:
    """Reserved moments: `count` requests from `start` on, `gap` seconds apart."""

    start: float
    count: int
    gap: float
    token: str
    """Names the reservation, so that its owner can move or return it."""
    single: bool = False
    """Whether the requests carry one contact each."""

    @property
    def end(self) -> float:
        """The moment of the last request."""
        return self.start + (self.count - 1) * self.gap

    def times(self) -> list[float]:
        """The moments, oldest first."""
        return [self.start + i * self.gap for i in range(self.count)]


@dataclass(frozen=True, slots=True)
class AccountBudget:
    """The document: what is reserved, and what everybody waits for."""

    bulk: tuple[Slots, ...] = ()
    general: tuple[float, ...] = ()
    hold_until: float = 0.0
    """Nobody sends before this moment (a throttle's Retry-After, or an outage)."""
    hold_reason: str = ""
    failures: int = 0
    """Requests in a row that ActiveCampaign did not serve; sets the length of the next pause."""
    settle_samples: tuple[float, ...] = field(default=())
    """Seconds that recent batches took from acceptance to their final state."""
    slowed_to: float = 1.0
    """The part of the rate that the last throttle left."""
    slowed_until: float = 0.0
    """From this moment on the rate comes back."""

    def to_json(self) -> dict[str, Any]:
        """The stored form."""
        return {
            "schema": SCHEMA,
            "bulk": [[s.start, s.count, s.gap, s.token, s.single] for s in self.bulk],
            "general": list(self.general),
            "hold_until": self.hold_until,
            "hold_reason": self.hold_reason,
            "failures": self.failures,
            "settle_samples": list(self.settle_samples),
            "slowed_to": self.slowed_to,
            "slowed_until": self.slowed_until,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Self:
        """The budget that `to_json` stored. Raises NewerVersionError or ValueError for another schema."""
        check_schema("budget", data["schema"], SCHEMA)
        return cls(
            bulk=tuple(Slots(*entry) for entry in data["bulk"]),
            general=tuple(data["general"]),
            hold_until=data["hold_until"],
            hold_reason=data["hold_reason"],
            failures=data["failures"],
            settle_samples=tuple(data["settle_samples"]),
            slowed_to=data.get("slowed_to", 1.0),  # absent where an earlier version wrote
            slowed_until=data.get("slowed_until", 0.0),
        )


Change: TypeAlias = Callable[[AccountBudget], AccountBudget]
"""What a swap does to a budget; may run several times."""


def reserve_bulk(
    budget: AccountBudget,
    pace: Pace,
    now: float,
    *,
    count: int,
    token: str,
    single: bool = False,
    lead_seconds: float = 0.0,
) -> tuple[AccountBudget, Slots]:
    """Reserve slots for up to `count` bodies at the earliest moment that keeps every limit.

    Fewer are given when a window holds fewer; the caller comes back for the rest. A reservation goes
    behind all earlier ones, so that runs on one account take turns, and so far behind that a lot which
    runs late, as it may a little, does not meet the next. `lead_seconds` is what the sender needs before
    it can begin.
    """
    pace = pace.reduced(rate_in_force(budget, pace, now))
    budget = _forget_the_past(budget, pace, now)
    count = min(count, pace.single_count if single else pace.bulk_count)
    start = max(now + lead_seconds, budget.hold_until)
    if budget.bulk:
        start = max(start, budget.bulk[-1].end + pace.lot_gap_seconds)
    start = max(start, _after_dense_general_calls(budget, pace, start))
    gap = pace.body_gap_seconds
    everything = [t for slots in budget.bulk for t in slots.times()]
    start = _first_fit(everything, pace.bulk_count, pace.window_seconds, start, count, gap)
    if single:
        singles = [t for slots in budget.bulk if slots.single for t in slots.times()]
        start = _first_fit(singles, pace.single_count, pace.window_seconds, start, count, gap)
    slots = Slots(start, count, gap, token, single)
    return replace(budget, bulk=(*budget.bulk, slots)), slots


def used_share(budget: AccountBudget, pace: Pace, slots: Slots) -> float:
    """Which part of the account's bulk requests is reserved in the window that ends with these slots."""
    begins_after = slots.end - pace.window_seconds
    times = [t for reserved in budget.bulk for t in reserved.times() if begins_after < t <= slots.end]
    return min(1.0, len(times) / pace.bulk_count)


def confirm_slots(
    budget: AccountBudget, pace: Pace, now: float, slots: Slots, *, lead_seconds: float = 0.0
) -> tuple[AccountBudget, Slots | None]:
    """The slots as they may be used now: unchanged, or reserved anew when they came too late.

    None where somebody else goes on with them: a copy of the message that carried them has taken them, or
    reserved others in their place. A budget that comes back unchanged needs no write.
    """
    tokens = {mine.token: mine for mine in budget.bulk}
    known = tokens.get(slots.token)
    if _token_of_taken(slots) in tokens or (known is not None and known.start != slots.start):
        return budget, None
    late = now > slots.start + pace.late_seconds
    if known is not None and not late and budget.hold_until <= max(now, slots.start):
        return budget, slots
    return reserve_bulk(
        return_slots(budget, slots.token),
        pace,
        now,
        count=slots.count,
        token=slots.token,
        single=slots.single,
        lead_seconds=lead_seconds,
    )


def return_slots(budget: AccountBudget, token: str) -> AccountBudget:
    """Give back a reservation that will not be used."""
    return replace(budget, bulk=tuple(slots for slots in budget.bulk if slots.token != token))


def take_slots(budget: AccountBudget, slots: Slots) -> tuple[AccountBudget, Slots | None]:
    """The slots are used from now on: whoever still holds their token can neither move nor return them.

    None where they are not there any more: somebody else has reserved others in their place.
    """
    if slots not in budget.bulk:
        return budget, None
    taken = replace(slots, token=_token_of_taken(slots))
    return replace(budget, bulk=tuple(taken if mine == slots else mine for mine in budget.bulk)), taken


def _token_of_taken(slots: Slots) -> str:
    """Names these very slots: a chunk may have had others a moment ago."""
    return f"{slots.token}{_TAKEN}{slots.start:.3f}"


def trim_slots(budget: AccountBudget, token: str, used: int) -> AccountBudget:
    """Give back the slots behind the first `used` ones of a reservation."""
    return replace(
        budget,
        bulk=tuple(
            replace(slots, count=min(used, slots.count)) if slots.token == token else slots
            for slots in budget.bulk
            if slots.token != token or used
        ),
    )


def postpone_slots(budget: AccountBudget, token: str, seconds: float) -> AccountBudget:
    """Write down that a lot ran `seconds` later than reserved, so that the next keeps its distance."""
    return replace(
        budget,
        bulk=tuple(
            replace(slots, start=slots.start + seconds) if slots.token == token else slots
            for slots in budget.bulk
        ),
    )


def reserve_general(
    budget: AccountBudget,
    pace: Pace,
    now: float,
    *,
    count: int,
    within_seconds: float = math.inf,
    own: float | None = None,
) -> tuple[AccountBudget, tuple[float, ...]]:
    """Reserve moments for up to `count` calls that are not bulk requests (status, lists, fields).

    The first is given however far away it is, further ones only within so many seconds from now. `own` is
    the last moment that the same caller has: no allowance for clocks that differ is needed behind that.
    """
    pace = pace.reduced(rate_in_force(budget, pace, now))
    budget = _forget_the_past(budget, pace, now)
    times: list[float] = []
    previous = max(budget.general, default=-math.inf)
    if previous != own:
        previous += pace.general_turn_seconds
    for _ in range(count):
        moment = max(now, budget.hold_until, previous + pace.general_gap_seconds)
        if _near_a_lot(budget, pace, moment):
            moment = max(moment, previous + pace.busy_general_gap_seconds)
        if times and moment > now + within_seconds:
            break
        times.append(moment)
        previous = moment
    return replace(budget, general=(*budget.general, *times)), tuple(times)


def return_general(budget: AccountBudget, moments: tuple[float, ...]) -> AccountBudget:
    """Give back moments that were reserved by `reserve_general` and will not be used."""
    unused = set(moments)
    return replace(budget, general=tuple(t for t in budget.general if t not in unused))


def hold(budget: AccountBudget, until: float, reason: str) -> AccountBudget:
    """Nobody on the account sends before `until`; a longer hold that is in force stays."""
    if until <= budget.hold_until:
        return budget
    return replace(budget, hold_until=until, hold_reason=reason)


def note_throttle(budget: AccountBudget, pace: Pace, now: float, until: float, reason: str) -> AccountBudget:
    """ActiveCampaign throttled a request: nobody sends before `until`, and then more slowly than before.

    Requests that were under way together may all be throttled; together they slow us down once.
    """
    straggler = now < budget.slowed_until + _STRAGGLER_SECONDS * pace.time_scale
    if not straggler:
        rate = rate_in_force(budget, pace, now)
        slower = rate * (_FIRST_SLOWING if rate == 1.0 else _SLOWING)
        budget = replace(budget, slowed_to=max(_SLOWEST, slower))
    budget = hold(budget, until, reason)
    return replace(budget, slowed_until=max(budget.slowed_until, budget.hold_until))


def rate_in_force(budget: AccountBudget, pace: Pace, now: float) -> float:
    """The part (0 to 1] of the pace that may be used: lower after a throttle, then it comes back."""
    recovered = max(0.0, now - budget.slowed_until) / (_RECOVERY_SECONDS * pace.time_scale)
    return min(1.0, budget.slowed_to + recovered)


def note_outage(budget: AccountBudget, now: float, jitter: float, reason: str) -> AccountBudget:
    """ActiveCampaign did not serve a request: everybody pauses, longer with each failure in a row.

    `jitter` is a random number in [0, 1); the pause is 5 s doubling to 5 min, plus up to a quarter.
    """
    pause = min(_MAX_OUTAGE_PAUSE_SECONDS, 5.0 * 2.0 ** min(budget.failures, 10)) * (1 + jitter / 4)
    return hold(replace(budget, failures=budget.failures + 1), now + pause, reason)


def note_service(budget: AccountBudget) -> AccountBudget:
    """ActiveCampaign serves again: the next outage starts with a short pause."""
    return replace(budget, failures=0, hold_reason="") if budget.failures else budget


def usual_settle_seconds(budget: AccountBudget, pace: Pace) -> float:
    """The account's moving median settle time: when a batch is worth its first question."""
    if not budget.settle_samples:
        return _FIRST_SETTLE_SECONDS * pace.time_scale
    return max(_SHORTEST_SETTLE_SECONDS * pace.time_scale, statistics.median(budget.settle_samples))


def note_settled(budget: AccountBudget, seconds: float) -> AccountBudget:
    """Remember how long a batch took from acceptance to its final state."""
    return replace(budget, settle_samples=(*budget.settle_samples, seconds)[-_SETTLE_SAMPLES:])


def rebuilt(
    pace: Pace, now: float, reason: str = "the account's budget was lost and is rebuilt"
) -> AccountBudget:
    """The budget to start with when the document was lost: a whole window passes first."""
    return AccountBudget(hold_until=now + _REBUILDING_SECONDS * pace.time_scale, hold_reason=reason)


def believed(budget: AccountBudget, pace: Pace, now: float) -> AccountBudget:
    """The budget itself, or one that is rebuilt where a wrong clock must have written it.

    Moments are reserved one behind the other, so an honest document has no long gap ahead of it: neither
    from now to its next moment nor between two of them. Everybody would wait for the end of such a gap.
    """
    moments = [budget.hold_until, budget.slowed_until, *budget.general]
    for slots in budget.bulk:
        moments += [slots.start, slots.end]
    ahead = [now, *sorted(moment for moment in moments if moment > now)]
    slowest = pace.reduced(_SLOWEST)
    farthest = _FARTHEST_SECONDS + 2 * max(slowest.lot_gap_seconds, slowest.busy_general_gap_seconds)
    if all(later - earlier <= farthest for earlier, later in pairwise(ahead)):
        return budget
    return rebuilt(pace, now, "a wrong clock wrote into the account's budget, which is rebuilt")


def _forget_the_past(budget: AccountBudget, pace: Pace, now: float) -> AccountBudget:
    """Drop what no window, and no gap, can see any more; slots that were not taken yet get their time."""
    horizon = now - max(pace.window_seconds, pace.body_gap_seconds)
    return replace(
        budget,
        bulk=tuple(
            slots
            for slots in budget.bulk
            if slots.end > (horizon if _TAKEN in slots.token else min(horizon, now - _WINDOW_SECONDS))
        ),
        general=tuple(t for t in budget.general if t > now - 2 * pace.busy_general_gap_seconds),
    )


def _first_fit(
    taken: list[float], limit: int, window: float, earliest: float, count: int, gap: float
) -> float:
    """The first start >= `earliest` at which no window of `window` seconds holds more than `limit`.

    The i-th new request shares its window with i new ones before it, so at most limit - 1 - i older
    requests may still be inside.
    """
    newest_first = sorted(taken, reverse=True)
    start = earliest
    for i in range(count):
        blocking = limit - 1 - i
        if blocking < len(newest_first):
            start = max(start, newest_first[blocking] + window - i * gap)
    return start


def _near_a_lot(budget: AccountBudget, pace: Pace, moment: float) -> bool:
    """Whether a lot is under way at `moment`, or within a second of it."""
    margin = pace.busy_general_gap_seconds
    return any(slots.start - margin <= moment <= slots.end + margin for slots in budget.bulk)


def _after_dense_general_calls(budget: AccountBudget, pace: Pace, start: float) -> float:
    """The earliest start of a lot that does not run into other calls reserved close together."""
    ahead = sorted(t for t in budget.general if t > start - pace.busy_general_gap_seconds)
    dense = [
        later for earlier, later in pairwise(ahead) if later - earlier < pace.busy_general_gap_seconds * 0.99
    ]
    return dense[-1] + pace.general_gap_seconds if dense else start
