import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporter.domain.drop import is_hidden
from exporter.domain.layout import Junk, classify
from exporter.domain.recipes import BUILT_IN
from exporter.domain.testdrop import name_for, token_in

tokens = st.text("0123456789abcdef", min_size=12, max_size=12)


@given(tokens)
def test_a_test_drop_is_never_a_drop(token: str) -> None:
    name = name_for(token)

    assert isinstance(classify(name, BUILT_IN), Junk)
    assert is_hidden(name)
    assert "/" not in name  # in no segment's folder, so no listing of one finds it
    assert token_in(name) == token


@pytest.mark.parametrize(
    "blob",
    [
        "vip/monday.csv",
        "vip/.exporter-test-0123456789ab",
        ".exporter-test-0123456789ab/x.csv",
        ".exporter-test-0123456789abc",
        ".exporter-test-0123456789aB",
        ".exporter-test-../../runs/x",
        ".exporter-test-",
        "",
    ],
)
def test_no_other_name_has_a_token(blob: str) -> None:
    assert token_in(blob) is None
