"""What must hold at the end of every course, whatever happened: one function for each clause."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any, Final

import orjson
from azure.core.exceptions import ServiceRequestError, ServiceResponseError

from exporter.domain.budget import AccountBudget
from exporter.domain.reject import RejectReason
from exporter.domain.run import Run, RunReport, RunState
from exporter.errors import RetryLaterError, StopRunError
from exporter.steps.messages import MAX_MESSAGE_BYTES
from tests.fakes.activecampaign import PER_SECOND, FakeActiveCampaign, Request
from tests.fakes.runs import MARKS
from tests.fakes.storage import ProcessDiedError
from tests.fakes.world import most_in_window
from tests.simulation.course import Act, Course, Drop
from tests.simulation.faults import STORAGE_FAULTS, Fault

HOLDS_WITHIN_SECONDS: Final = 5.0
SOON_SECONDS: Final = 5.0
"""Slots that begin so soon are lost with the message that came for them: they keep nobody waiting."""
LISTED_BY_PLAN: Final = frozenset({RejectReason.MISSING_EMAIL.value, RejectReason.INVALID_EMAIL.value})
MAY_BE_SENT: Final = frozenset({"email", "first_name", "last_name", "subscribe"})


class BrokenError(AssertionError):
    """A clause of the promise does not hold."""

    def __init__(self, clause: str, what: str) -> None:
        super().__init__(f"{clause}: {what}")
        self.clause = clause


def _check(holds: bool, clause: str, what: str) -> None:
    """Raise BrokenError where something does not hold."""
    if not holds:
        raise BrokenError(clause, what)


# What the clauses look at


def report_of(run: Run) -> RunReport:
    """A run's report; every run has one at its end."""
    _check(run.state.final and run.report is not None, "every run ends", f"{run.run_id} {run.state}")
    assert run.report is not None
    return run.report


def planned_runs(course: Course) -> Iterator[tuple[Run, RunReport, Drop]]:
    """The runs that came as far as a plan."""
    for run in course.world.runs():
        report = report_of(run)
        if run.export is not None and report.counts.rows:
            yield run, report, course.drop_of(run)


def listed(course: Course, run: Run) -> dict[str, str]:
    """The contacts in a run's rejects file, with the reasons; without the rows that its plan rejected."""
    rejects = [row for row in course.world.rejects(run) if row["reason"] not in LISTED_BY_PLAN]
    found = {row["email"]: row["reason"] for row in rejects}
    _check(len(found) == len(rejects), "the rejects are exact", f"{run.run_id} lists a contact twice")
    return found


def delivered(course: Course, run: Run, drop: Drop) -> set[str]:
    """Whom a run's report says delivered: its contacts without those in its rejects file."""
    return drop.valid(run.first).keys() - listed(course, run).keys()


def sent_by(account: FakeActiveCampaign, run: Run) -> list[Request]:
    """The requests of a run that ActiveCampaign took."""
    return [request for request in account.accepted if request.run_id == run.run_id]


def _value(contact: dict[str, Any], list_id: str) -> object:
    """What an export has written into a contact: each writes into a field of its own."""
    return contact.get("first_name" if list_id == "5" else "last_name")


def _version(value: object) -> int:
    """The number of the drop that a value comes from; 0 for none."""
    return int(str(value)[1:]) if value else 0


# The clauses


def every_run_ends(course: Course) -> None:
    """In a documented state, and for a reason that the course has given."""
    storage_failed = bool(course.trouble.counts.keys() & STORAGE_FAULTS)
    allowed = {"superseded": True, "poisoned": storage_failed, "cancelled": Act.CANCEL in course.acts}
    # Before its first body, that is; a list can't be seen with such a key either.
    allowed["key_refused"] = allowed["list_denied"] = Act.REVOKE_KEY in course.acts
    # A command whose answer got lost has done its work all the same.
    allowed["cancelled"] |= any("-- cancel (" in line for line in course.lines)
    for run in course.world.runs():
        report_of(run)
        code = run.stopped.code if run.stopped else None
        _check(
            code is None or allowed.get(code, False),
            "every run ends as it should",
            f"{run.run_id[:6]} was stopped: {run.stopped}",
        )
    expected = (ServiceRequestError, ServiceResponseError, ProcessDiedError, RetryLaterError)
    for error in course.world.errors:
        _check(
            storage_failed and not _others(error, expected),
            "no handler fails but for storage",
            repr(error),
        )


def _others(error: BaseException, expected: tuple[type[BaseException], ...]) -> list[BaseException]:
    """The errors in a group, or the error itself, that are of no expected kind."""
    if isinstance(error, BaseExceptionGroup):
        return [other for inner in error.exceptions for other in _others(inner, expected)]
    return [] if isinstance(error, expected) else [error]


def runs_only_move_forward(course: Course) -> None:
    """States move forward, completion comes once a round, and each claim has one owner at a time."""
    faults = course.history.faults
    _check(not faults, "runs only move forward", "; ".join(faults[:3]))


def nothing_is_missed(course: Course) -> None:
    """The newest drop of each segment has a run of every export that takes it."""
    for export in course.exports:
        for segment in export.segments:
            drops = [drop for drop in course.drops.values() if drop.segment == segment]
            newest = max(drops, key=lambda drop: (drop.source.last_modified, drop.source.blob))
            runs = [run for run in course.world.runs() if run.export_id == export.id]
            _check(
                any(course.drop_of(run) is newest for run in runs),
                "no drop is missed",
                f"{newest.source.blob} has no run of {export.id}",
            )


def counts_add_up(course: Course) -> None:
    """Each row of the file is in exactly one place of the report."""
    for run, report, drop in planned_runs(course):
        counts = report.counts
        _check(counts.add_up, "the counts add up", str(counts))
        contacts = counts.delivered + counts.refused + counts.undelivered
        _check(
            contacts == len(drop.valid(run.first)),
            "every valid row has an ending",
            (f"{run.run_id[:6]}: {counts}, but {len(drop.valid(run.first))} rows are valid"),
        )
        _check(
            run.first is not None or counts.rows == len(drop.rows),
            "the counts add up",
            f"{counts.rows} of {len(drop.rows)} rows",
        )


def rejects_are_exact(course: Course) -> None:
    """The rejects file lists what is rejected, refused and undelivered: each with its row, nobody else."""
    for run, report, drop in planned_runs(course):
        counts, valid = report.counts, drop.valid(run.first)
        reasons = Counter(row["reason"] for row in course.world.rejects(run))
        account = course.account(run.connection.id if run.connection else None)
        clause = "the rejects are exact"
        _check(
            dict(reasons) == {reason: count for reason, count in report.reasons.items() if count},
            clause,
            f"{run.run_id[:6]}: {reasons}, the report says {report.reasons}",
        )
        _check(
            reasons.total() == counts.rejected + counts.refused + counts.undelivered,
            clause,
            f"{run.run_id[:6]}: {reasons}, the report says {counts}",
        )
        for row in course.world.rejects(run):
            address, number, reason = row["email"], int(row["row"]), row["reason"]
            _check(
                drop.rows[number - 1] == address,
                clause,
                f"{address!r} does not stand in row {number}",
            )
            holds = {
                RejectReason.REFUSED_BY_ACTIVECAMPAIGN: address in account.refused,
                RejectReason.FAILED_IN_ACTIVECAMPAIGN: address in account.failing,
                RejectReason.UNDELIVERED: address in valid,
                RejectReason.MISSING_EMAIL: not address,
                RejectReason.INVALID_EMAIL: address == "nobody",
            }[RejectReason(reason)]
            _check(
                holds,
                clause,
                f"{address!r} is listed as {reason}",
            )


def undelivered_was_tried(course: Course) -> None:
    """A run that nobody stopped gives nobody up whom it has not tried to send more than once."""
    for run, _, _ in planned_runs(course):
        if run.stopped is not None:
            continue
        account = course.account(run.connection.id if run.connection else None)
        requests = [request for request in account.requests if request.run_id == run.run_id]
        for address, reason in listed(course, run).items():
            tries = sum(address in request.addresses for request in requests)
            _check(
                reason != RejectReason.UNDELIVERED or tries > 1 or Fault.BATCH_STUCK in course.trouble.counts,
                "nobody is given up too early",
                f"{run.run_id[:6]}: {address}, {tries} tries",
            )


def delivered_is_there(course: Course) -> None:
    """Everybody whom a report says delivered was written by a request of that run."""
    for run, report, drop in planned_runs(course):
        account = course.account(run.connection.id if run.connection else None)
        written = {
            address
            for batch in account.batches
            if batch.request.run_id == run.run_id and batch.ends == "completed"
            for address in batch.request.addresses
        } - account.failing
        missing = delivered(course, run, drop) - written
        _check(
            not missing,
            "who is reported as delivered is there",
            f"{run.run_id[:6]}: {sorted(missing)}",
        )
        _check(
            report.counts.delivered == len(delivered(course, run, drop)),
            "who is reported as delivered is there",
            f"{run.run_id[:6]}: {report.counts}",
        )


def nothing_else_is_sent(course: Course) -> None:
    """Requests carry valid rows of their run's file, with its values and the export's list: nothing else."""
    runs = {run.run_id: run for run in course.world.runs()}
    for account in course.world.accounts.values():
        for request in account.requests:
            run = runs[request.run_id]
            assert run.export is not None
            drop = course.drop_of(run)
            for contact in request.contacts:
                holds = (
                    contact["email"] in drop.valid(run.first)
                    and contact["subscribe"] == [{"listid": int(run.export.list_id)}]
                    and _value(contact, run.export.list_id) == drop.value
                    and contact.keys() <= MAY_BE_SENT
                )
                _check(
                    holds,
                    "nothing but the file is sent",
                    f"{run.run_id[:6]} sent {contact}",
                )


def latest_values_hold(course: Course) -> None:
    """Each contact holds the values of the newest run that reports it as delivered, or newer ones."""
    newest: defaultdict[tuple[str, str, str], int] = defaultdict(int)
    for run, _, drop in planned_runs(course):
        assert run.export is not None
        for address in delivered(course, run, drop):
            key = run.export.connection, run.export.list_id, address
            newest[key] = max(newest[key], drop.number)
    for (connection_id, list_id, address), number in newest.items():
        account = course.account(connection_id)
        found = _version(_value(account.contacts.get(address, {}), list_id))
        _check(
            found >= number,
            "the newest values hold",
            f"{address}: v{found} instead of v{number}",
        )
        _check(
            (address, list_id) in account.members,
            "delivered contacts are on the list",
            address,
        )


def older_never_follows_newer(course: Course) -> None:
    """No request carries values older than ones already sent for the same export and address."""
    runs = {run.run_id: run for run in course.world.runs()}
    for account in course.world.accounts.values():
        latest: defaultdict[tuple[str, str], tuple[Any, ...]] = defaultdict(tuple)
        for request in account.accepted:
            run = runs[request.run_id]
            drop = course.drop_of(run)
            order = drop.source.last_modified, drop.source.blob
            for address in request.addresses:
                key = run.export_id or "", address
                _check(
                    latest[key] <= order,
                    "older values never follow newer ones",
                    (f"request {request.number} at {request.at:.2f} of {request.run_id[:6]}, {key}"),
                )
                latest[key] = order


def limits_are_kept(course: Course) -> None:
    """As decision 12 has them: the minute's windows always, the second's but for two late requests."""
    for account in course.world.accounts.values():
        bulk = [request.at for request in account.requests]
        single = [request.at for request in account.requests if len(request.contacts) == 1]
        for times, most in ((bulk, account.bulk_per_minute), (single, account.single_per_minute)):
            found = most_in_window(times, 60.0)
            _check(
                found <= most,
                "the minute's limits are kept",
                f"{found} requests where {most} are allowed",
            )
        arrivals = sorted(account.arrivals)
        for end, moment in enumerate(arrivals):
            window = arrivals[bisect_right(arrivals, moment - 1.0) : end + 1]
            late_count = sum(at in account.late_arrivals for at in window)
            _check(
                len(window) <= PER_SECOND or late_count >= 2,
                "the second's limit is kept",
                f"{len(window)} requests in a second: {window}",
            )


def who_opted_out_stays_out(course: Course) -> None:
    """Nobody who has unsubscribed or bounced is subscribed, before the course or during it."""
    for connection_id, address, list_id in course.opted_out:
        status = course.account(connection_id).members[address, list_id]
        _check(status != "subscribed", "who opted out stays out", address)


def automations_start_once(course: Course) -> None:
    """A run lets the automations of an address start at most once."""
    for account in course.world.accounts.values():
        started = Counter(
            (request.run_id, address)
            for request in account.accepted
            if not request.exclude_automations
            for address in request.addresses
        )
        twice = [key for key, count in started.items() if count > 1]
        _check(not twice, "automations start once", str(twice[:3]))
    may_start = {export.id for export in course.exports if export.automations}
    for run in course.world.runs():
        if run.export is None or run.export_id in may_start:
            continue
        account = course.account(run.export.connection)
        _check(
            all(request.exclude_automations for request in sent_by(account, run)),
            "automations start only where they may",
            run.run_id[:6],
        )


def stops_hold(course: Course) -> None:
    """Nothing leaves later than 5 s after a cancel or pause, until it is lifted."""
    runs = {run.run_id: run for run in course.world.runs()}
    for stop in course.stops:
        for account in course.world.accounts.values():
            for request in account.requests:
                export = runs[request.run_id].export
                concerned = stop.run_id in {None, request.run_id} and stop.connection_id in {
                    None,
                    export.connection if export else None,
                }
                lifted = stop.lifted_at is not None and request.at >= stop.lifted_at
                _check(
                    not concerned or lifted or request.at <= stop.since + HOLDS_WITHIN_SECONDS,
                    "stops hold within 5 s",
                    f"request {request.number} at {request.at}, {stop}",
                )


def nothing_is_left_behind(course: Course) -> None:
    """No claim, no slots and no mark of an open run stay behind."""
    documents, now = course.world.storage.documents, course.world.clock.now()
    for name, document in documents.items():
        if name.startswith(MARKS):  # one without a run is of an order that was cut short: it does no harm
            left = f"runs/{name.removeprefix(MARKS)}.json" in documents
            _check(not left, "nothing is left behind", name)
        if name.startswith("claims/"):
            claim = orjson.loads(document.data)
            _check(
                claim["returned"] or claim["until"] < now.isoformat(),
                "nothing is left behind",
                f"{name} {claim}",
            )
        if name.startswith("budgets/") and name.endswith(".json"):
            budget = AccountBudget.from_json(orjson.loads(document.data))
            ahead = [slots for slots in budget.bulk if slots.start > now.timestamp() + SOON_SECONDS]
            _check(not ahead, "nothing is left behind", str(ahead))


def nobody_is_named(course: Course) -> None:
    """Messages are short and name no people, and neither does telemetry."""
    for _, text in course.world.queues.sent:
        _check(len(text.encode()) <= MAX_MESSAGE_BYTES, "messages are short", text)
        _check("@" not in text, "messages name nobody", text)
    told = course.world.telemetry.text()
    _check("@" not in told, "telemetry names nobody", told)


def peace_has_no_excuse(course: Course) -> None:
    """Where nothing interfered, all that is valid arrives, each contact in exactly one request."""
    if not course.has_peace:
        return
    for run, report, drop in planned_runs(course):
        account = course.account(run.connection.id if run.connection else None)
        carried = Counter(
            address
            for request in account.requests
            if request.run_id == run.run_id
            for address in request.addresses
        )
        clause = "without faults everything arrives once"
        _check(set(carried.values()) <= {1}, clause, f"{run.run_id[:6]} repeats contacts")
        sent = carried.keys()
        _check(delivered(course, run, drop) == sent, clause, f"{run.run_id[:6]} differs")
        _check(
            run.state is RunState.SUPERSEDED or report.counts.delivered == len(drop.valid(run.first)),
            clause,
            f"{run.run_id[:6]} ended as {run.state}: {report.counts}",
        )


CLAUSES: Final = (
    every_run_ends,
    runs_only_move_forward,
    nothing_is_missed,
    counts_add_up,
    rejects_are_exact,
    undelivered_was_tried,
    delivered_is_there,
    nothing_else_is_sent,
    latest_values_hold,
    older_never_follows_newer,
    limits_are_kept,
    who_opted_out_stays_out,
    automations_start_once,
    stops_hold,
    nothing_is_left_behind,
    nobody_is_named,
    peace_has_no_excuse,
)


def judge(course: Course) -> None:
    """Look at every clause. Raises BrokenError for the first that does not hold."""
    for clause in CLAUSES:
        try:
            clause(course)
        except StopRunError as error:
            raise BrokenError(clause.__name__, str(error)) from error
