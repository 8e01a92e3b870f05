"""What HTTP functions answer with."""

import orjson
import pytest

from exporter.adapters.http_answers import health_answer
from exporter.steps.health import Ailment, Health


def test_what_is_well_answers_200() -> None:
    answer = health_answer(Health("1.2.3", 41.0))

    assert answer.status_code == 200
    assert answer.mimetype == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert orjson.loads(answer.get_body()) == {"ok": True, "version": "1.2.3", "heartbeat_age_seconds": 41.0}


@pytest.mark.parametrize("code", Ailment)
def test_what_is_not_answers_503_with_the_code(code: Ailment) -> None:
    answer = health_answer(Health("1.2.3", None, code))

    assert answer.status_code == 503
    assert orjson.loads(answer.get_body()) == {
        "ok": False,
        "version": "1.2.3",
        "heartbeat_age_seconds": None,
        "code": code.value,
    }
