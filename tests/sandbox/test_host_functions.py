from typing import Any

import pytest

from sandbox.host.functions import BlobTrigger, QueueTrigger, instances_of, read_functions
from sandbox.host.problems import StartProblemsError

STORAGE = {"AzureWebJobsStorage": "UseDevelopmentStorage=true"}


def _function(*bindings: dict[str, Any], name: str = "work", **more: Any) -> dict[str, Any]:
    return {"name": name, "bindings": [{"direction": "IN", "name": "a", **b} for b in bindings], **more}


def _queue(queue: str = "work", **more: Any) -> dict[str, Any]:
    return {"type": "queueTrigger", "queueName": queue, "connection": "AzureWebJobsStorage", **more}


def _problems(*functions: dict[str, Any], settings: dict[str, str] = STORAGE) -> str:
    with pytest.raises(StartProblemsError) as caught:
        read_functions(functions, settings)
    return "\n".join(caught.value.problems)


def test_expressions_are_resolved() -> None:
    [function] = read_functions([_function(_queue("%Q%"))], {**STORAGE, "Q": "orders"})
    assert function.trigger == QueueTrigger("a", "orders", "AzureWebJobsStorage")


def test_all_problems_of_all_functions_are_told_at_once() -> None:
    told = _problems(
        _function(_queue("Bad_Name"), name="first"),
        _function(_queue("%Q%"), name="second"),
        _function({"type": "timerTrigger", "schedule": "garbage"}, name="third"),
        _function({"type": "eventHubTrigger"}, name="fourth"),
        _function(_queue(connection="ELSEWHERE"), name="fifth"),
        settings={},
    )
    assert "the host needs storage of its own: setting AzureWebJobsStorage or" in told
    assert "function first: queueTrigger 'a': 'Bad_Name' is not a queue name" in told
    assert "function second: queueTrigger 'a': queueName '%Q%': setting Q is missing" in told
    assert "function third: timerTrigger 'a': the schedule is not NCRONTAB" in told
    assert "function fourth: eventHubTrigger 'a': this host does not support the binding" in told
    assert (
        "function fifth: queueTrigger 'a': setting ELSEWHERE or ELSEWHERE__queueServiceUri is missing" in told
    )


@pytest.mark.parametrize(
    "name", ["ab", "a" * 64, "Upper", "under_score", "-start", "end-", "double--hyphen", ""]
)
def test_names_that_no_queue_can_have(name: str) -> None:
    assert "is not a queue name" in _problems(_function(_queue(name)))


def _blob(path: str, **more: Any) -> dict[str, Any]:
    return {"type": "blobTrigger", "path": path, "source": "EventGrid", **more}


def test_a_blob_trigger_needs_both_services_and_event_grid() -> None:
    told = _problems(
        _function(_blob("drops/{name}", connection="D"), name="one"),
        _function(_blob("drops/{name}", source="LogsAndContainerScan"), name="two"),
        _function(_blob("Drops/{name}"), name="three"),
        settings={**STORAGE, "D__blobServiceUri": "https://d"},
    )
    assert "function one: blobTrigger 'a': setting D or D__queueServiceUri is missing" in told
    assert "function two: blobTrigger 'a': Flex Consumption supports only the source EventGrid" in told
    assert "function three: blobTrigger 'a': 'Drops' is not a container name" in told


@pytest.mark.parametrize(
    ("path", "blob", "parameters"),
    [
        ("drops/{name}", "a.csv", {"name": "a.csv"}),
        ("drops/{name}", "vip/2026/a.csv", {"name": "vip/2026/a.csv"}),
        ("drops/{segment}/{name}", "vip/a/b.csv", {"segment": "vip", "name": "a/b.csv"}),
        ("drops/{segment}/{name}", "a.csv", None),
        ("drops/in/{name}.csv", "in/a.csv", {"name": "a"}),
        ("drops/in/{name}.csv", "out/a.csv", None),
        ("drops/in/{name}.csv", "in/a.txt", None),
        ("drops", "any/thing", {"name": "any/thing"}),
    ],
)
def test_blob_patterns(path: str, blob: str, parameters: dict[str, str] | None) -> None:
    [function] = read_functions([_function(_blob(path))], STORAGE)
    assert isinstance(function.trigger, BlobTrigger)
    assert function.trigger.container == "drops"
    assert function.trigger.match(blob) == parameters


def test_retry_policies_are_for_timers() -> None:
    policy = {"strategy": "fixed_delay", "max_retry_count": "3", "delay_interval": "00:00:05"}
    assert "a retry policy is honoured by timers only" in _problems(_function(_queue(), retry=policy))
    timer = _function({"type": "timerTrigger", "schedule": "0 * * * * *"}, retry=policy)
    [function] = read_functions([timer], STORAGE)
    assert function.retry is not None
    assert (function.retry.count, function.retry.first_seconds) == (3, 5.0)


def test_a_policy_may_be_patient_for_ever_or_pause_ever_longer() -> None:
    policy = {
        "strategy": "exponential_backoff",
        "max_retry_count": "-1",
        "minimum_interval": "00:00:02",
        "maximum_interval": "00:00:10",
    }
    timer = {"type": "timerTrigger", "schedule": "0 * * * * *"}
    [function] = read_functions([_function(timer, retry=policy)], STORAGE)
    assert function.retry is not None
    assert function.retry.count == -1
    assert [function.retry.pause_seconds(n) for n in (0, 1, 2, 3, 5000)] == [2.0, 4.0, 8.0, 10.0, 10.0]


@pytest.mark.parametrize(
    ("queue", "poison"),
    [("work", "work-poison"), ("w" * 56, "w" * 56 + "-poison"), ("w" * 57, None), ("work-poison", None)],
)
def test_which_queues_have_a_poison_queue(queue: str, poison: str | None) -> None:
    [function] = read_functions([_function(_queue(queue))], STORAGE)
    assert isinstance(function.trigger, QueueTrigger)
    assert function.trigger.poison_queue == poison


def test_functions_share_processes_as_on_flex_consumption() -> None:
    http = {"type": "httpTrigger", "route": "x"}
    timer = {"type": "timerTrigger", "schedule": "0 * * * * *"}
    functions = read_functions(
        [
            _function(_queue("one"), name="queue1"),
            _function(_blob("drops/{name}"), name="blob1"),
            _function(http, name="http1"),
            _function(_queue("two"), name="queue2"),
            _function(_blob("notes/{name}"), name="blob2"),
            _function(timer, name="timer1"),
            _function(timer, name="timer2"),
            _function(http, name="http2"),
        ],
        STORAGE,
    )
    assert sorted(sorted(f.name for f in group) for group in instances_of(functions)) == [
        ["blob1", "blob2"],
        ["http1", "http2"],
        ["queue1"],
        ["queue2"],
        ["timer1"],
        ["timer2"],
    ]
