"""Blobs with names that mean harm: they reach no path, no terminal and no formula."""

import csv
import io
import re
import uuid

import pytest
from azure.core.exceptions import AzureError
from azure.storage.blob import BlobServiceClient
from azure.storage.blob.aio import BlobServiceClient as AsyncBlobServiceClient
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.documents import Documents
from exporter.adapters.drops import BlobDropStore
from exporter.cli.console import Output
from exporter.domain.drop import drop_version
from exporter.domain.layout import Meaning, classify
from exporter.domain.recipes import BUILT_IN
from exporter.domain.reject import Reject, RejectReason
from exporter.domain.rejects_file import to_record
from exporter.domain.run import run_id_for
from exporter.domain.wording import shown
from tests.builders import a_segment, a_source, addresses
from tests.security.names import HOSTILE_NAMES

HASH = re.compile(r"[0-9a-f]{32}")
names = st.sampled_from(HOSTILE_NAMES) | st.text(max_size=60)


@given(names)
def test_every_name_has_a_meaning(name: str) -> None:
    assert isinstance(classify(name, BUILT_IN), Meaning)


@given(names)
def test_what_is_stored_under_is_a_digest_of_the_name(name: str) -> None:
    version = drop_version([a_source(name)])

    assert HASH.fullmatch(version)
    assert HASH.fullmatch(run_id_for("vip", version, "drop"))


@given(names)
def test_a_name_is_shown_on_one_line_without_anything_that_steers(name: str) -> None:
    assert shown(name).isprintable()
    assert len(shown(name)) <= 201


@given(names)
def test_the_rejects_file_shows_a_name_and_runs_nothing(name: str) -> None:
    text = io.StringIO(newline="")
    csv.writer(text).writerow(to_record(Reject(name, 1, RejectReason.MISSING_EMAIL, "", "")))

    ((source, *rest),) = csv.reader(io.StringIO(text.getvalue(), newline=""))

    assert source in {name, f"'{name}"}
    assert not source.startswith(("=", "+", "-", "@", "\t", "\r", "\n"))
    assert rest == ["1", "missing_email", "", ""]


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_console_shows_a_name_and_obeys_nothing(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output()
    output.show(Text(name))
    output.note(name)
    output.warn(name)
    output.fail("code", name)

    told = capsys.readouterr()
    for text in (told.out, told.err):
        assert all(character.isprintable() or character == "\n" for character in text)
        assert "[red]" not in name or "[red]markup[/red]" in text
        assert ":bomb:" not in name or ":bomb:" in text


NOT_IN_XML = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
"""Azurite takes some names with these, and then can't list their container any more."""


async def test_in_storage_a_name_is_read_back_as_it_is_or_refused_by_storage(azurite: str) -> None:
    """Each blob that storage takes is found and read under its own name and no other."""
    container = f"landing-{uuid.uuid4().hex}"
    taken: dict[str, bytes] = {}
    with BlobServiceClient.from_connection_string(azurite, retry_total=0) as blocking:
        async with AsyncBlobServiceClient.from_connection_string(azurite, retry_total=0) as blobs:
            landing = await blobs.create_container(container)
            documents = Documents(landing, SystemClock(), SystemRandomness())
            drops = BlobDropStore(landing, blocking.get_container_client(container), documents)
            for number, name in enumerate(HOSTILE_NAMES):
                if NOT_IN_XML.search(name):
                    continue
                data = a_segment(addresses(1, f"name{number}-"))
                try:
                    await drops.put(name, [data])
                except (AzureError, ValueError):
                    continue
                found = await drops.source(name)
                assert found is not None
                taken[name] = b"".join(drops.read(found))
                assert taken[name] == data, name
            listed = {source.blob for source in await drops.folder("")}
            await landing.delete_container()

    assert len(listed) == len(taken)
    assert len(taken) > len(HOSTILE_NAMES) / 2
