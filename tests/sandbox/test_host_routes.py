import pytest

from sandbox.host.routes import Match, Route, RouteTable


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("api/runs", "api/runs", {}),
        ("api/Runs", "API/runs", {}),
        ("api/runs", "api/runs/1", None),
        ("api/runs/{id}", "api/runs/7", {"id": "7"}),
        ("api/runs/{id}", "api/runs/a%2Fb%20c", {"id": "a/b c"}),
        ("api/runs/{id}", "api/runs", None),
        ("api/runs/{id}", "api/runs/7/8", None),
        ("api/runs/{id:int}", "api/runs/x", None),
        ("api/runs/{id:int}", "api/runs/-5", {"id": "-5"}),
        ("api/runs/{id?}", "api/runs", {}),
        ("api/runs/{id?}", "api/runs/7", {"id": "7"}),
        ("api/{*rest}", "api", {}),
        ("api/{*rest}", "api/a/b/c.js", {"rest": "a/b/c.js"}),
        ("{*rest}", "", {}),
        ("{*rest}", "a/b", {"rest": "a/b"}),
        ("files/{name}.csv", "files/a.csv", {"name": "a"}),
        ("files/{name}.csv", "files/axcsv", None),
    ],
)
def test_matching(template: str, path: str, parameters: dict[str, str] | None) -> None:
    assert Route.parse(template).match(path) == parameters


@pytest.mark.parametrize("template", ["{*rest}/more", "a/{b?}/c", "{a:regex(x)}", "a/{b", "{id:even}"])
def test_a_template_that_cannot_be_matched_is_refused(template: str) -> None:
    with pytest.raises(ValueError, match=r"segment|constraint"):
        Route.parse(template)


def test_literals_win_over_parameters_and_these_over_the_rest() -> None:
    templates = {"rest": "api/{*rest}", "one": "api/runs/{id}", "latest": "api/runs/latest"}
    table = RouteTable((name, Route.parse(template), frozenset()) for name, template in templates.items())
    assert table.find("GET", "api/runs/latest") == Match("latest", {})
    assert table.find("GET", "api/runs/5") == Match("one", {"id": "5"})
    assert table.find("GET", "api/other/5") == Match("rest", {"rest": "other/5"})


def test_one_path_may_belong_to_several_functions_by_method() -> None:
    route = Route.parse("api/runs")
    table = RouteTable([("list", route, frozenset({"GET"})), ("add", route, frozenset({"POST"}))])
    assert table.find("POST", "api/runs") == Match("add", {})
    assert table.find("PUT", "api/runs") == frozenset({"GET", "POST"})
    assert table.find("PUT", "api/else") == frozenset()
