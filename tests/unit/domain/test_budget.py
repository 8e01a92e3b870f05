"""The budget keeps every limit for any course of events."""

import json
import math
from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain import budget as rules
from exporter.domain.budget import AccountBudget, Pace, Slots, pace_for
from exporter.errors import NewerVersionError

DOCUMENTED = pace_for(100, 5)
EXACT = 1e-6
"""Moments are floats; this much is rounding."""

paces = st.builds(
    pace_for,
    bulk_per_minute=st.sampled_from([1, 7, 50, 100, 1_000, 100_000]),
    per_second=st.sampled_from([1, 3, 5, 50, 5_000]),
    share=st.sampled_from([0.01, 0.3, 0.5, 1.0]),
)


def most_in_window(times: list[float], seconds: float) -> int:
    """The most moments in any window of that length, its end excluded, rounding forgiven."""
    times = sorted(times)
    most = start = 0
    for end, moment in enumerate(times):
        while times[start] <= moment - seconds + EXACT:
            start += 1
        most = max(most, end - start + 1)
    return most


@dataclass
class Account:
    """A budget in use: it moves time, reserves, and remembers every moment that was given."""

    pace: Pace
    budget: AccountBudget = field(default_factory=AccountBudget)
    now: float = 1_000_000.0
    given: list[Slots] = field(default_factory=list)
    general: list[float] = field(default_factory=list)

    def reserve(self, count: int, *, single: bool = False) -> Slots:
        held_until = self.budget.hold_until
        self.budget, slots = rules.reserve_bulk(
            self.budget, self.pace, self.now, count=count, token=f"t{len(self.given)}", single=single
        )
        assert slots.start >= max(self.now, held_until)
        assert 1 <= slots.count <= count
        self.given.append(slots)
        return slots

    def call(self, count: int) -> tuple[float, ...]:
        held_until = self.budget.hold_until
        self.budget, times = rules.reserve_general(self.budget, self.pace, self.now, count=count)
        assert len(times) == count
        assert min(times) >= max(self.now, held_until)
        self.general += times
        return times

    @property
    def bulk_times(self) -> list[float]:
        return [moment for slots in self.given for moment in slots.times()]

    @property
    def single_times(self) -> list[float]:
        return [moment for slots in self.given if slots.single for moment in slots.times()]


steps = st.lists(
    st.one_of(
        st.tuples(st.just("bulk"), st.integers(1, 250)),
        st.tuples(st.just("single"), st.integers(1, 40)),
        st.tuples(st.just("call"), st.integers(1, 9)),
        st.tuples(st.just("wait"), st.floats(0.0, 90.0)),
        st.tuples(st.just("hold"), st.floats(0.0, 90.0)),
    ),
    max_size=25,
)


def play(pace: Pace, course: list[tuple[str, float]]) -> Account:
    """An account after a course of events; waiting is in the account's own time."""
    account = Account(pace)
    for what, amount in course:
        match what:
            case "bulk" | "single":
                account.reserve(int(amount), single=what == "single")
            case "call":
                account.call(int(amount))
            case "wait":
                account.now += amount * pace.time_scale
            case "hold":
                account.budget = rules.hold(account.budget, account.now + amount * pace.time_scale, "held")
    return account


@given(paces, steps)
def test_no_window_holds_more_bodies_than_the_limit_allows(
    pace: Pace, course: list[tuple[str, float]]
) -> None:
    account = play(pace, course)

    assert pace.bulk_count <= 98
    assert most_in_window(account.bulk_times, pace.window_seconds) <= pace.bulk_count
    assert most_in_window(account.single_times, pace.window_seconds) <= pace.single_count <= 19


@given(paces, steps)
def test_slots_never_overlap(pace: Pace, course: list[tuple[str, float]]) -> None:
    account = play(pace, course)

    assert all(
        later - earlier >= pace.body_gap_seconds - EXACT
        for earlier, later in pairwise(sorted(account.bulk_times))
    )


@given(paces, steps)
def test_other_calls_keep_their_gaps(pace: Pace, course: list[tuple[str, float]]) -> None:
    account = play(pace, course)

    assert account.general == sorted(account.general)
    assert all(
        later - earlier >= pace.general_gap_seconds - EXACT for earlier, later in pairwise(account.general)
    )


@given(steps)
def test_bodies_and_other_calls_together_are_never_more_than_five_in_a_second(
    course: list[tuple[str, float]],
) -> None:
    account = play(DOCUMENTED, course)

    assert most_in_window([*account.bulk_times, *account.general], 1.0) <= 5


@given(paces, steps)
def test_the_document_comes_back_from_json_as_it_was(pace: Pace, course: list[tuple[str, float]]) -> None:
    budget = rules.note_settled(play(pace, course).budget, 4.5)

    assert AccountBudget.from_json(json.loads(json.dumps(budget.to_json()))) == budget


def test_a_document_of_a_newer_version_is_left_to_it() -> None:
    with pytest.raises(NewerVersionError, match="schema 2 is not known"):
        AccountBudget.from_json({**AccountBudget().to_json(), "schema": 2})


@pytest.mark.parametrize(("count", "single"), [(98, False), (1, False), (3, True)])
def test_the_document_stays_small_however_long_an_account_is_in_use(count: int, *, single: bool) -> None:
    account = Account(DOCUMENTED)
    sizes = []
    for _ in range(600):
        slots = account.reserve(count, single=single)
        account.call(4)
        account.now = max(account.now + 0.35, slots.end - 30)
        account.budget = rules.note_settled(account.budget, 4.0)
        sizes.append(len(json.dumps(account.budget.to_json())))

    assert max(sizes[300:]) <= max(sizes[:300]) + 10
    assert max(sizes) < 16_000


@pytest.mark.parametrize(
    ("bulk_per_minute", "per_second", "share"), [(100, 5, 1.0), (60, 5, 1.0), (100, 2, 1.0), (100, 5, 0.2)]
)
def test_a_pace_never_exceeds_the_limits_it_was_made_of(
    bulk_per_minute: int, per_second: int, share: float
) -> None:
    pace = pace_for(bulk_per_minute, per_second, share)

    assert pace.bulk_count / pace.window_seconds <= bulk_per_minute * share / 60
    assert 1 / pace.body_gap_seconds <= per_second * share
    assert 1 / pace.general_gap_seconds + 1e-9 <= per_second * share
    assert (pace.bulk_count - 1) * pace.body_gap_seconds <= 45


def test_above_the_documented_limits_only_the_times_shrink() -> None:
    fast = pace_for(1_000, 50)

    assert (fast.bulk_count, fast.single_count) == (DOCUMENTED.bulk_count, DOCUMENTED.single_count)
    assert fast.window_seconds == pytest.approx(DOCUMENTED.window_seconds / 10)
    assert fast.body_gap_seconds == pytest.approx(DOCUMENTED.body_gap_seconds / 10)
    assert fast.general_gap_seconds == pytest.approx(DOCUMENTED.general_gap_seconds / 10)
    assert fast.late_seconds == pytest.approx(DOCUMENTED.late_seconds / 10)


def test_the_first_lot_may_start_at_once() -> None:
    account = Account(DOCUMENTED)

    slots = account.reserve(98)

    assert (slots.start, slots.count) == (account.now, 98)


def test_a_full_lot_waits_for_a_whole_window_after_the_one_before() -> None:
    account = Account(DOCUMENTED)

    first, second = account.reserve(98), account.reserve(98)

    assert second.start == pytest.approx(first.start + 61.2)


def test_more_than_a_window_holds_is_given_in_parts() -> None:
    assert Account(DOCUMENTED).reserve(500).count == 98
    assert Account(DOCUMENTED).reserve(500, single=True).count == 19


def test_twenty_exports_of_three_bodies_take_seconds() -> None:
    account = Account(DOCUMENTED)

    last = [account.reserve(3) for _ in range(20)][-1]

    assert last.end - account.now <= 20 * (2 * DOCUMENTED.body_gap_seconds + DOCUMENTED.lot_gap_seconds)


@pytest.mark.parametrize("lots_ahead", [1, 2])
def test_a_single_body_behind_full_lots_waits_for_these_only(lots_ahead: int) -> None:
    account = Account(DOCUMENTED)
    for _ in range(lots_ahead):
        account.reserve(98)

    assert account.reserve(1).start - account.now <= lots_ahead * 61.2 + EXACT


def test_single_contacts_draw_on_both_budgets() -> None:
    account = Account(DOCUMENTED)
    account.reserve(79)

    first = account.reserve(19, single=True)
    second = account.reserve(1, single=True)

    assert first.end - account.now < 61.2
    assert second.start >= first.start + 61.2 - EXACT


def test_nothing_is_reserved_before_the_end_of_a_hold() -> None:
    account = Account(DOCUMENTED)
    account.budget = rules.hold(account.budget, account.now + 30, "throttled")

    assert account.reserve(3).start == account.now + 30
    assert account.call(2)[0] == account.now + 30


def test_a_shorter_hold_does_not_end_a_longer_one() -> None:
    long = rules.hold(AccountBudget(), 500.0, "the long one")

    assert rules.hold(long, 400.0, "the short one") is long


def test_slots_that_are_in_time_are_confirmed_without_a_write() -> None:
    account = Account(DOCUMENTED)
    slots = account.reserve(98)

    for moment in (slots.start - 2.5, slots.start, slots.start + 0.5):
        assert rules.confirm_slots(account.budget, DOCUMENTED, moment, slots) == (account.budget, slots)
        assert rules.confirm_slots(account.budget, DOCUMENTED, moment, slots)[0] is account.budget


def test_slots_that_are_late_start_at_once_when_nobody_else_has_reserved() -> None:
    account = Account(DOCUMENTED)
    slots = account.reserve(98)

    budget, anew = rules.confirm_slots(account.budget, DOCUMENTED, slots.start + 20, slots)

    assert anew is not None
    assert (anew.start, anew.count, anew.token) == (slots.start + 20, 98, slots.token)
    assert budget.bulk == (anew,)


def test_slots_that_are_late_go_behind_those_who_came_in_between() -> None:
    account = Account(DOCUMENTED)
    slots, other = account.reserve(98), account.reserve(98)

    _, anew = rules.confirm_slots(account.budget, DOCUMENTED, slots.start + 20, slots)

    assert anew is not None
    assert anew.start >= other.start + 61.2 - EXACT


def test_slots_that_meet_a_hold_are_moved_behind_it() -> None:
    account = Account(DOCUMENTED)
    slots = account.reserve(10)
    held = rules.hold(account.budget, slots.start + 30, "throttled")

    _, anew = rules.confirm_slots(held, DOCUMENTED, slots.start, slots)

    assert anew is not None
    assert anew.start == slots.start + 30


def test_slots_of_a_budget_that_was_lost_are_reserved_anew() -> None:
    account = Account(DOCUMENTED)
    slots = account.reserve(10)
    rebuilt = rules.rebuilt(DOCUMENTED, slots.start)

    _, anew = rules.confirm_slots(rebuilt, DOCUMENTED, slots.start, slots)

    assert anew is not None
    assert anew.start == slots.start + 62


def test_slots_that_are_returned_are_free_for_others() -> None:
    account = Account(DOCUMENTED)
    account.reserve(98)
    unused = account.reserve(98)

    account.budget = rules.return_slots(account.budget, unused.token)

    assert account.reserve(98).start == pytest.approx(unused.start)


def test_slots_that_are_in_use_can_not_be_returned_or_moved_by_a_late_copy_of_their_message() -> None:
    account = Account(DOCUMENTED)
    slots = account.reserve(98)
    account.budget, taken = rules.take_slots(account.budget, slots)

    for moment in (slots.start, slots.end + 3):
        assert taken is not None
        assert taken.times() == slots.times()
        assert rules.return_slots(account.budget, slots.token).bulk == (taken,)
        assert rules.confirm_slots(account.budget, DOCUMENTED, moment, slots) == (account.budget, None)


def test_a_copy_of_a_message_does_not_touch_slots_that_were_reserved_in_place_of_its_own() -> None:
    account = Account(DOCUMENTED)
    slots = account.reserve(33)
    later = slots.start + 70
    account.budget, anew = rules.confirm_slots(account.budget, DOCUMENTED, later, slots)

    assert rules.confirm_slots(account.budget, DOCUMENTED, later, slots) == (account.budget, None)
    assert rules.take_slots(account.budget, slots) == (account.budget, None)
    assert anew in account.budget.bulk


def test_two_lots_of_one_chunk_in_one_minute_are_trimmed_each_by_itself() -> None:
    account = Account(DOCUMENTED)
    taken = []
    for _ in range(2):
        account.budget, slots = rules.reserve_bulk(
            account.budget, DOCUMENTED, account.now, count=33, token="t"
        )
        account.budget, used = rules.take_slots(account.budget, slots)
        assert used is not None
        taken.append(used)

    budget = rules.trim_slots(account.budget, taken[1].token, 5)

    assert [slots.count for slots in budget.bulk] == [33, 5]


def test_a_sender_gets_the_time_that_it_needs_to_begin() -> None:
    budget, slots = rules.reserve_bulk(
        AccountBudget(), DOCUMENTED, 1000.0, count=3, token="t", lead_seconds=0.5
    )
    _, anew = rules.confirm_slots(budget, DOCUMENTED, 1010.0, slots, lead_seconds=2.0)

    assert slots.start == 1000.5
    assert anew is not None
    assert anew.start == 1012.0


def test_a_lot_that_is_as_late_as_it_may_be_still_keeps_its_distance_to_the_next() -> None:
    account = Account(DOCUMENTED)
    first, second = account.reserve(2), account.reserve(2)

    assert second.start - (first.end + DOCUMENTED.late_seconds) >= DOCUMENTED.body_gap_seconds - EXACT


def test_a_throttle_holds_and_slows_and_the_rate_comes_back_by_itself() -> None:
    budget = rules.note_throttle(AccountBudget(), DOCUMENTED, 1000.0, 1030.0, "throttled")

    assert budget.hold_until == 1030.0
    rates = [rules.rate_in_force(budget, DOCUMENTED, 1030.0 + seconds) for seconds in (0, 60, 360, 3600)]
    assert rates == pytest.approx([0.9, 0.95, 1.0, 1.0])


def test_a_throttle_while_the_rate_is_lowered_already_lowers_it_more() -> None:
    budget = rules.note_throttle(AccountBudget(), DOCUMENTED, 1000.0, 1010.0, "throttled")
    budget = rules.note_throttle(budget, DOCUMENTED, 1020.0, 1030.0, "throttled")

    assert budget.slowed_to == pytest.approx(0.7 * 0.9, abs=0.01)


def test_throttles_again_and_again_slow_down_to_a_fifth_and_no_further() -> None:
    budget, now = AccountBudget(), 1000.0
    for _ in range(20):
        budget = rules.note_throttle(budget, DOCUMENTED, now, now + 1, "throttled")
        now += 10

    assert rules.rate_in_force(budget, DOCUMENTED, now) == pytest.approx(0.2, abs=0.02)


def test_requests_that_were_throttled_together_slow_down_once() -> None:
    budget = AccountBudget()
    for moment in (1000.0, 1000.3, 1004.0, 1005.5):
        budget = rules.note_throttle(budget, DOCUMENTED, moment, moment + 1, "throttled")

    assert budget.slowed_to == pytest.approx(0.9)


@given(st.integers(1, 98), st.floats(0.2, 1.0))
def test_a_slowed_account_reserves_no_more_than_its_part(count: int, part: float) -> None:
    budget = AccountBudget(slowed_to=part, slowed_until=1000.0)

    budget, slots = rules.reserve_bulk(budget, DOCUMENTED, 1000.0, count=count, token="t")
    _, moments = rules.reserve_general(budget, DOCUMENTED, 1000.0, count=3)

    assert slots.count <= max(1, DOCUMENTED.bulk_count * part)
    assert slots.gap == pytest.approx(DOCUMENTED.body_gap_seconds / part)
    assert all(
        later - earlier >= DOCUMENTED.general_gap_seconds / part - EXACT
        for earlier, later in pairwise(moments)
    )


def test_a_budget_of_an_earlier_version_is_read_as_not_slowed() -> None:
    stored = AccountBudget().to_json()
    del stored["slowed_to"], stored["slowed_until"]

    assert AccountBudget.from_json(stored) == AccountBudget()


@given(st.floats(0.0, 30.0), st.integers(1, 98))
def test_a_lot_that_ran_late_keeps_its_distance_to_the_next(late: float, count: int) -> None:
    account = Account(DOCUMENTED)
    first = account.reserve(98)
    account.budget = rules.postpone_slots(account.budget, first.token, late)
    account.now = first.end + late

    following = account.reserve(count)

    moved = [moment + late for moment in first.times()]
    assert most_in_window([*moved, *following.times()], 61.2) <= 98


def test_an_outage_pauses_longer_with_each_failure_up_to_five_minutes_and_a_quarter() -> None:
    budget, pauses = AccountBudget(), []
    for _ in range(12):
        budget = rules.note_outage(replace(budget, hold_until=0.0), 0.0, 0.0, "down")
        pauses.append(budget.hold_until)

    assert pauses[:7] == [5, 10, 20, 40, 80, 160, 300]
    assert pauses[-1] == 300
    assert rules.note_outage(replace(budget, hold_until=0.0), 0.0, 1.0, "down").hold_until == 375


def test_service_after_an_outage_starts_over_with_short_pauses() -> None:
    budget = rules.note_outage(rules.note_outage(AccountBudget(), 0.0, 0.0, "down"), 0.0, 0.0, "down")

    served = rules.note_service(budget)

    assert served.failures == 0
    assert rules.note_service(served) is served


def test_the_usual_settle_time_is_the_median_of_the_latest_batches() -> None:
    budget = AccountBudget()
    assert rules.usual_settle_seconds(budget, DOCUMENTED) == 5.0

    for seconds in [900.0, *[8.0] * 7, *[12.0] * 8]:
        budget = rules.note_settled(budget, seconds)

    assert rules.usual_settle_seconds(budget, DOCUMENTED) == 12.0
    assert len(budget.settle_samples) == 15


def test_the_usual_settle_time_is_never_shorter_than_a_second() -> None:
    budget = rules.note_settled(AccountBudget(), 0.01)

    assert rules.usual_settle_seconds(budget, DOCUMENTED) == 1.0


@given(st.integers(1, 98), st.floats(0, 1))
def test_slots_tell_their_moments(count: int, gap: float) -> None:
    slots = Slots(100.0, count, gap, "t")

    assert len(slots.times()) == count
    assert slots.times()[0] == 100.0
    assert math.isclose(slots.times()[-1], slots.end)


@given(paces, steps)
def test_what_the_rules_wrote_is_believed(pace: Pace, course: list[tuple[str, float]]) -> None:
    account = play(pace, course)

    assert rules.believed(account.budget, pace, account.now) is account.budget


@pytest.mark.parametrize(
    "lie",
    [
        AccountBudget(hold_until=4700.0),
        AccountBudget(slowed_until=4700.0),
        AccountBudget(general=(1001.0, 4700.0)),
        AccountBudget(bulk=(Slots(4700.0, 3, 0.35, "t"),)),
        AccountBudget(bulk=(Slots(1000.0, 3, 1500.0, "t"),), general=(7700.0,)),
    ],
)
def test_a_budget_with_a_moment_more_than_an_hour_ahead_is_rebuilt(lie: AccountBudget) -> None:
    believed = rules.believed(lie, DOCUMENTED, 1000.0)

    assert believed == AccountBudget(hold_until=1062.0, hold_reason=believed.hold_reason)
    assert "clock" in believed.hold_reason


def test_the_longest_hold_is_believed() -> None:
    held = rules.note_throttle(AccountBudget(), DOCUMENTED, 1000.0, 1900.0, "throttled")

    assert rules.believed(held, DOCUMENTED, 1000.0) is held
