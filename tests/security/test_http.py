"""No function answers strangers over HTTP; the list is the app's own, so that a new one is not forgotten."""

import urllib.error
import urllib.request
from collections.abc import Iterator

import azure.functions as func
import pytest

from sandbox.host import LocalHost
from tests.sandbox.test_host_app import Shop
from tests.security.strangers import functions_of, load_function_app, open_doors


def test_the_app_has_no_function_that_anybody_may_call(monkeypatch: pytest.MonkeyPatch) -> None:
    functions = functions_of(load_function_app(monkeypatch).app)

    assert functions
    assert open_doors(functions) == []


@pytest.mark.parametrize(
    ("level", "open_to_all"),
    [(func.AuthLevel.ANONYMOUS, True), (func.AuthLevel.FUNCTION, False), (func.AuthLevel.ADMIN, False)],
)
def test_an_anonymous_function_would_be_noticed(level: func.AuthLevel, *, open_to_all: bool) -> None:
    app = func.FunctionApp()

    @app.route("runs", auth_level=level)
    async def list_runs(_: func.HttpRequest) -> str:
        raise AssertionError

    functions = functions_of(app)

    assert [function.kind for function in functions.values()] == ["httpTrigger"]
    assert open_doors(functions) == (["list_runs"] if open_to_all else [])


def test_a_function_that_names_no_level_takes_the_apps() -> None:
    app = func.FunctionApp(http_auth_level=func.AuthLevel.ANONYMOUS)

    @app.route("runs")
    async def list_runs(_: func.HttpRequest) -> str:
        raise AssertionError

    assert open_doors(functions_of(app)) == ["list_runs"]


@pytest.fixture(scope="module")
def locked_host(azurite: str) -> Iterator[LocalHost]:
    """A host that asks for a key, with functions over HTTP."""
    shop = Shop(azurite, function_key="the-key-of-the-host")
    shop.host.start()
    yield shop.host
    shop.close()


def status(url: str, **headers: str) -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


@pytest.mark.parametrize("path", ["/api/orders/1", "/admin/host/status"])
def test_the_host_answers_401_without_the_key(locked_host: LocalHost, path: str) -> None:
    url = locked_host.api + path

    assert status(url) == 401
    for wrong in ("", "the-key-of-the-hos", "the-key-of-the-host2", "THE-KEY-OF-THE-HOST"):
        assert status(url, **{"x-functions-key": wrong}) == 401
        assert status(f"{url}?code={wrong}") == 401
    assert status(url, **{"x-functions-key": "the-key-of-the-host"}) in {200, 202}
