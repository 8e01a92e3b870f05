"""The bulk importer: post, status of a batch, progress of the account."""

from aiohttp import web

from . import answers
from .account import Account
from .batches import Batch, BatchEnd, new_batch_id
from .gate import FAULT, PREFIX, RIGHTS, VISIT, account_of
from .validation import Refusal, Submission, check_contacts, read_submission

routes = web.RouteTableDef()

_DAY_SECONDS = 86_400.0
_PerDay = dict[int, list[int]]
"""Batches and contacts by the number of a day."""


@routes.post(PREFIX + "import/bulk_import")
async def post_bulk(request: web.Request) -> web.Response:
    """Queue up to 250 contacts, all of them or none; two equal posts are two batches."""
    account = account_of(request)
    body = await request.read()
    submission = read_submission(body, account.settings)
    digest = _note(request, account, body, submission)
    settings = account.settings
    limits = account.limits
    window, limit = (
        (limits.single, settings.single_requests_per_minute)
        if submission.single
        else (limits.multi, settings.bulk_requests_per_minute)
    )
    now = account.clock.now()
    if not limits.admit(window, limit, now, settings):
        return _throttled(account, limit, submission.single)
    refused = _refusal(request, account, submission)
    if refused is not None:
        if settings.limits_enforced and not settings.rejected_requests_count:
            window.give_back()
        return refused
    batch = _accept(request, account, body, submission, now)
    account.counters.note_accepted(digest, batch.contact_count)
    request[VISIT].batch_id = batch.id
    return answers.json_answer(
        {
            settings.success_key: 1,
            "queued_contacts": batch.contact_count,
            "batchId": batch.id,
            "message": "Contact import queued",
        }
    )


def _note(request: web.Request, account: Account, body: bytes, submission: Submission) -> bytes:
    visit = request[VISIT]
    visit.body_bytes = len(body)
    visit.contacts = len(submission.contacts)
    visit.exclude_automations = submission.exclude_automations
    return account.counters.note_bulk(account.clock.now(), body, submission.contacts)


def _throttled(account: Account, limit: int, single: bool) -> web.Response:
    if single:
        account.counters.throttled_single += 1
    else:
        account.counters.throttled_bulk += 1
    return answers.bulk_throttle(limit, single, int(account.settings.bulk_throttle))


def _refusal(request: web.Request, account: Account, submission: Submission) -> web.Response | None:
    """Return the answer to a post that may not be queued."""
    settings = account.settings
    if not request[RIGHTS].bulk:
        return _count(account, "forbidden", answers.message("Forbidden", 403))
    if settings.over_plan_limit in {"402", "403"} and _plan_is_full(account):
        status = int(settings.over_plan_limit)
        return _count(account, "plan_limit", answers.message("Contact limit reached", status))
    refusal = submission.refusal or check_contacts(submission.contacts, settings)
    return (
        None
        if refusal is None
        else _count(account, refusal.kind, _refused(refusal, settings.oversize_answer))
    )


def _plan_is_full(account: Account) -> bool:
    limit = account.settings.plan_limit
    return limit is not None and len(account.contacts) >= limit


def _refused(refusal: Refusal, oversize_answer: str) -> web.Response:
    status = int(oversize_answer) if refusal.oversize else 400
    return answers.bulk_refusal(refusal.message, list(refusal.reasons), status)


def _count(account: Account, kind: str, answer: web.Response) -> web.Response:
    account.counters.bulk_rejected[kind] += 1
    return answer


def _accept(request: web.Request, account: Account, body: bytes, submission: Submission, now: float) -> Batch:
    batch = Batch(
        id=new_batch_id(),
        accepted_at=now,
        contact_count=len(submission.contacts),
        body=body,
        exclude_automations=submission.exclude_automations,
        callback=submission.callback,
        list_ids=request[RIGHTS].list_ids,
        end=_scripted_end(request),
    )
    account.batches.accept(batch, account.settings)
    account.catch_up()
    return batch


def _scripted_end(request: web.Request) -> BatchEnd:
    fault = request.get(FAULT)
    if fault is None or fault.name != "batch_end":
        return "completed"
    ends: dict[str, BatchEnd] = {"failed": "failed", "interrupted": "interrupted"}
    return ends.get(fault.argument, "stuck")


@routes.get(PREFIX + "import/info")
async def get_info(request: web.Request) -> web.Response:
    """Return where a batch stands; the arrays are empty until it is final."""
    account = account_of(request)
    batch_id = request.query.get("batchId")
    if not batch_id:
        return answers.json_answer({"success": 0, "message": "'batchId' is a required field."}, 400)
    request[VISIT].batch_id = batch_id
    batch = account.batches.by_id.get(batch_id)
    if batch is None:
        if account.settings.unknown_batch_answer == "404":
            return answers.not_found("Batch", batch_id)
        return answers.json_answer({"status": False, "success": [], "failure": []})
    return answers.json_answer(
        {
            "status": account.batches.status(batch, account.clock.now(), account.settings),
            "success": [str(contact_id) for contact_id in batch.success],
            "failure": list(batch.failure),
        }
    )


@routes.get(PREFIX + "import/bulk_import")
async def get_progress(request: web.Request) -> web.Response:
    """Return batches and contacts per day: those outstanding, and those completed in the last days."""
    account = account_of(request)
    oldest = account.clock.now() - account.settings.progress_days * _DAY_SECONDS
    outstanding: _PerDay = {}
    completed: _PerDay = {}
    midnight = account.midnight
    for batch in account.batches.by_id.values():
        if batch.finished_at is None:
            _count_day(outstanding, batch.accepted_at - midnight, batch.contact_count)
        elif batch.finished_at > oldest:
            _count_day(completed, batch.finished_at - midnight, batch.contact_count)
    return answers.json_answer(
        {
            "outstanding": _days_shape(account, outstanding),
            "recentlyCompleted": _days_shape(account, completed),
        }
    )


def _count_day(days: _PerDay, seconds: float, contacts: int) -> None:
    """Add a batch to its day; days are counted from the account's first midnight."""
    counts = days.setdefault(int(seconds // _DAY_SECONDS), [0, 0])
    counts[0] += 1
    counts[1] += contacts


def _days_shape(account: Account, days: _PerDay) -> list[dict[str, str]]:
    return [
        {
            "forDate": account.date(account.midnight + day * _DAY_SECONDS).date().isoformat(),
            "batches": str(batches),
            "contacts": str(contacts),
        }
        for day, (batches, contacts) in sorted(days.items())
    ]
