"""The shapes of ActiveCampaign's answers, the good and the bad."""

from collections.abc import Mapping

import orjson
from aiohttp import web

LOGIN_PAGE = "<!DOCTYPE html><html><head><title>Log in</title></head><body><form>Log in</form></body></html>"
ERROR_PAGE = "<!DOCTYPE html><html><body><h1>We are having some issues</h1></body></html>"


def json_answer(
    body: object,
    status: int = 200,
    *,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """Answer with JSON."""
    return web.Response(
        body=orjson.dumps(body), status=status, content_type=content_type, charset="utf-8", headers=headers
    )


def html_answer(page: str, status: int = 200) -> web.Response:
    """Answer with a page, as an edge server or a login form would."""
    return web.Response(text=page, status=status, content_type="text/html")


def message(text: str, status: int) -> web.Response:
    """The shape `{"message": …}`."""
    return json_answer({"message": text}, status)


def error(status: int, title: str, detail: str, *, content_type: str = "application/json") -> web.Response:
    """The shape `{"errors": [{"status", "title", "detail"}]}`."""
    body = {"errors": [{"status": status, "title": title, "detail": detail}]}
    return json_answer(body, status, content_type=content_type)


def coded_error(code: str, title: str, pointer: str = "", *, status: int = 422, **extra: str) -> web.Response:
    """The shape `{"errors": [{"title", "detail", "code", "source"}]}`."""
    entry = {"title": title, "detail": "", "code": code, **extra, "source": {"pointer": pointer}}
    return json_answer({"errors": [entry]}, status)


def not_found(kind: str, identity: object) -> web.Response:
    """404 as the vendor words it, e.g. `No Result found for Subscriber with id 9`."""
    return message(f"No Result found for {kind} with id {identity}", 404)


def bulk_refusal(text: str, reasons: list[object], status: int = 400) -> web.Response:
    """The shape of a bulk import that was refused."""
    return json_answer({"success": 0, "message": text, "failureReasons": reasons}, status)


def bulk_throttle(limit: int, single: bool, status: int = 400) -> web.Response:
    """The bulk throttle: a refusal that names the rate limit (400 unless switched to 429)."""
    kind = "single-contact imports" if single else "imports"
    reason = f"No more than {limit} {kind} are allowed per minute. Please try again in a minute."
    return bulk_refusal("Rate limit exceeded.", [reason], status)


def general_throttle(mode: str, retry_after_seconds: int) -> web.Response:
    """The throttle on all requests: 429, 429 without `Retry-After`, or 503."""
    if mode == "503":
        return html_answer(ERROR_PAGE, 503)
    headers = {"Retry-After": str(retry_after_seconds)} if mode == "429" else None
    return json_answer({"message": "Too Many Requests"}, 429, headers=headers)
