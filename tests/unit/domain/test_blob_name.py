import pytest

from exporter.domain.blob_name import blob_in
from exporter.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "blob"),
    [
        ("vip/a.csv", "vip/a.csv"),
        ("segments/vip/a.csv", "segments/vip/a.csv"),
        ("https://acme.blob.core.windows.net/segments/vip/a%20b.csv", "vip/a b.csv"),
        ("https://acme.dfs.core.windows.net/segments/vip/a.csv?sv=1&sig=secret", "vip/a.csv"),
        ("http://127.0.0.1:10000/devstoreaccount1/segments/vip/a.csv", "vip/a.csv"),
        ("abfss://segments@acme.dfs.core.windows.net/vip/a.csv", "vip/a.csv"),
        ("https://acme.blob.core.windows.net/segments/segments/a.csv", "segments/a.csv"),
        ("odd://vip/a.csv", "odd://vip/a.csv"),
    ],
)
def test_a_blob_is_known_by_its_name_and_by_its_address(text: str, blob: str) -> None:
    assert blob_in("segments", text) == blob


@pytest.mark.parametrize(
    "text",
    [
        "https://acme.blob.core.windows.net/other/vip/a.csv?sig=secret",
        "https://acme.blob.core.windows.net/segments",
        "https://acme.blob.core.windows.net/segments/",
        "https://acme.blob.core.windows.net/",
        "abfss://other@acme.dfs.core.windows.net/vip/a.csv",
    ],
)
def test_an_address_elsewhere_is_refused_without_its_signature(text: str) -> None:
    with pytest.raises(ConfigurationError, match="container 'segments'") as caught:
        blob_in("segments", text)
    assert "secret" not in str(caught.value)


def test_no_name_at_all_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="give its name"):
        blob_in("segments", "")
