"""What HTTP functions answer with."""

import azure.functions as func
import orjson

from exporter.steps.health import Health


def health_answer(health: Health) -> func.HttpResponse:
    """200 where all is well, 503 with the reason's code where not; nobody may keep it."""
    document = {
        "ok": health.ok,
        "version": health.version,
        "heartbeat_age_seconds": health.heartbeat_age_seconds,
        **({} if health.ok else {"code": health.code}),
    }
    return func.HttpResponse(
        orjson.dumps(document),
        status_code=200 if health.ok else 503,
        headers={"Cache-Control": "no-store"},
        mimetype="application/json",
    )
