import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.mismatch import mismatch
from exporter.domain.recipe import Recipe, compile_pattern
from exporter.domain.recipes import BUILT_IN


def why(pattern: str, blob: str) -> str:
    return mismatch(Recipe(id="mine", pattern=pattern, segment="all"), blob)


@pytest.mark.parametrize(
    ("pattern", "blob", "words"),
    [
        ("{segment}/part-{part}", "vip/a.csv", "after `vip/` it wants `part-`"),
        ("{segment}/part-{part}", "vip/part-0", ""),
        ("in/{segment}/{part}", "vip/a.csv", "it wants `in/` at the beginning"),
        ("{segment}/{part}.csv", "vip/a.parquet", "after `vip/` it wants `{part}.csv`"),
        ("{segment}/{day:8}.csv", "vip/2026-03-01.csv", "after `vip/` it wants `{day:8}`"),
        ("{segment}/{day:8}.csv", "vip/20260301.csv.gz", "after `vip/20260301.csv` the name should end"),
        ("{segment}/{file}", "vip", "it wants `{segment}/` at the beginning"),
        ("[{root:path}/]CI_{export}/{part}", "a/b/x.csv", "after `a/b/` it wants `CI_`"),
        ("[{root:path}/]CI_{export}/{part}", "a/CI_x", "after `a/CI_` it wants `{export}/`"),
        ("x[_{time:6}].csv", "x_12.csv", "after `x_` it wants `{time:6}`"),
        ("x[_{time:6}].csv", "x.cs", "after `x` it wants `[_{time:6}].csv`"),
        ("x[_{time:6}].csv", "x_123456", "after `x_123456` it wants `.csv`"),
        ("x[_{time:6}]", "x.csv", "after `x` the name should end"),
        ("x[_{time}].csv", "x_12", "after `x_` it wants `{time}`"),
        ("{segment}/part-{part}", "vip/part-", "after `vip/part-` it wants `{part}`"),
        ("{segment}/part-{part}", "vip/part-0/x", "after `vip/part-0` the name should end"),
        (
            "{segment}/[{drop:folders}/]part-{part}",
            "vip/a.csv",
            "after `vip/` it wants `[{drop:folders}/]part-`",
        ),
    ],
)
def test_it_is_told_where_a_name_stops_fitting(pattern: str, blob: str, words: str) -> None:
    assert why(pattern, blob) == words


def test_of_a_long_name_the_middle_is_left_out() -> None:
    words = why("{segment}/{part}.csv", f"{'x' * 900}/a")
    assert len(words) < 150
    assert words.endswith("x/` it wants `{part}.csv`")


def test_what_is_invisible_is_escaped() -> None:
    assert why("{segment}/{part}.csv", "\u202ex/a") == r"after `\u202ex/` it wants `{part}.csv`"


NAMES = st.text(st.sampled_from("ab1/_-.[]{}*+?()\n"), max_size=30)


@given(recipe=st.sampled_from(BUILT_IN), blob=NAMES)
def test_nothing_is_said_of_a_name_that_fits_and_something_of_any_other(recipe: Recipe, blob: str) -> None:
    fits = compile_pattern(recipe.pattern).fullmatch(blob) is not None
    assert (mismatch(recipe, blob) == "") == fits
