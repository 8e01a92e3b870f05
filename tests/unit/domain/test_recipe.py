"""What a pattern matches, and which patterns are none."""

import pytest
from pydantic import ValidationError

from exporter.domain.recipe import Completeness, Recipe, compile_pattern, fill


@pytest.mark.parametrize(
    ("pattern", "name", "values"),
    [
        ("{segment}/{file}", "vip/a.csv", {"segment": "vip", "file": "a.csv"}),
        ("{segment}/{file}", "vip/a/b.csv", None),
        ("{segment}/{file}", "vip/", None),
        ("{segment}.csv", "vip.csv", {"segment": "vip"}),
        ("{segment}.csv", "vipxcsv", None),
        ("{segment}_{part:digits}", "vip_12", {"segment": "vip", "part": "12"}),
        ("{segment}_{part:digits}", "vip_1a", None),
        ("{segment}_{part:2}", "vip_12", {"segment": "vip", "part": "12"}),
        ("{segment}_{part:2}", "vip_123", None),
        ("{segment}_{part:1-3}", "vip_123", {"segment": "vip", "part": "123"}),
        ("{segment}_{part:1-3}", "vip_1234", None),
        ("{segment}_{id:hex}", "vip_Aa-09", {"segment": "vip", "id": "Aa-09"}),
        (
            "{segment}_{id:guid}",
            "vip_01b2c3d4-0000-1234-0000-438300AD6596",
            {"segment": "vip", "id": "01b2c3d4-0000-1234-0000-438300AD6596"},
        ),
        ("{segment}_{id:guid}", "vip_01b2c3d4-0000-1234-0000", None),
        ("{root:path}/{segment}.csv", "a/b/vip.csv", {"root": "a/b", "segment": "vip"}),
        ("{segment}/{drop:folders}/x", "vip/a/b/x", {"segment": "vip", "drop": "a/b"}),
        ("{segment}/{drop:folders}/x", "vip/a/b=1/x", None),
        ("[{root}/]{segment}.csv", "vip.csv", {"root": None, "segment": "vip"}),
        ("[{root}/]{segment}.csv", "a/vip.csv", {"root": "a", "segment": "vip"}),
        ("{segment}.csv[.gz]", "vip.csv.gz", {"segment": "vip"}),
        ("{segment}/a+b (c)?.csv", "vip/a+b (c)?.csv", {"segment": "vip"}),
        ("{segment}/{file}", "vip\n/a\nb.csv", {"segment": "vip\n", "file": "a\nb.csv"}),
    ],
)
def test_a_pattern_matches_whole_names(pattern: str, name: str, values: dict[str, str | None] | None) -> None:
    match = compile_pattern(pattern).fullmatch(name)

    assert (match.groupdict() if match else None) == values


@pytest.mark.parametrize(
    ("pattern", "reason"),
    [
        ("{segment", "a placeholder should look like"),
        ("{Segment}", "a placeholder should look like"),
        ("{segment:}", "a placeholder should look like"),
        ("{segment:word}", "is not known"),
        ("{segment:0}", "a placeholder should look like"),
        ("{segment}/{segment}", "a name of its own"),
        ("[{segment}", "come in pairs"),
        ("{segment}]", "come in pairs"),
        ("[{segment}[.gz]]", "come in pairs"),
        ("{segment}_{a}_{b}", "at most two open placeholders"),
        ("{segment}_{a}_{b:hex}", "at most two open placeholders"),
        ("{a:digits}{b:digits}{c:1-9}{d:digits}{segment}", "at most four placeholders between slashes"),
        ("{segment}" + "[ab]" * 5, "at most four parts in square brackets"),
        ("{segment:path}/{part:path}", "one of folders in all"),
        ("{segment:path}/{part:folders}", "one of folders in all"),
    ],
)
def test_what_is_no_pattern_says_why(pattern: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        compile_pattern(pattern)


@pytest.mark.parametrize(
    ("recipe", "reason"),
    [
        ({"pattern": "{table}.csv"}, "needs {segment}"),
        ({"pattern": "{table}.csv", "segment": "{name}"}, "{name} is no placeholder"),
        ({"pattern": "{segment}.csv", "manifest": "{root}/model.json"}, "{root} is no placeholder"),
        ({"pattern": "[{root}/]{segment}.csv", "manifest": "{root}/model.json"}, "{root} may be missing"),
        ({"pattern": "[{root}/]{segment}.csv", "manifest": "[{root}/model.json"}, "come in pairs"),
        ({"pattern": "{table}.csv", "segment": "{table"}, "a placeholder should look like"),
        ({"pattern": "{segment}.csv", "manifest": "{Segment}.json"}, "a placeholder should look like"),
        ({"pattern": "{segment}.csv", "complete": []}, "at least 1 item"),
        ({"pattern": "{segment}.csv", "id": "Own"}, "String should match"),
    ],
)
def test_a_recipe_that_does_not_fit_together_says_why(recipe: dict[str, object], reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Recipe.model_validate({"id": "own", **recipe})


def test_a_recipe_of_one_segment_needs_no_placeholder_for_it() -> None:
    recipe = Recipe.model_validate({"id": "own", "pattern": "export-{part:digits}.csv", "segment": "vip"})

    assert recipe.complete == (Completeness.MARKER,)
    assert fill(recipe.segment or "", {}) == "vip"


@pytest.mark.parametrize(
    ("template", "filled"),
    [
        ("[{root}/]{export}/model.json", "a/b/weekly/model.json"),
        ("[{absent}/]{export}/model.json", "weekly/model.json"),
        ("[{root}/{absent}/]model.json", "model.json"),
        ("{export:digits}.json", "weekly.json"),
    ],
)
def test_a_template_is_filled_and_leaves_out_what_is_missing(template: str, filled: str) -> None:
    assert fill(template, {"root": "a/b", "export": "weekly"}) == filled
