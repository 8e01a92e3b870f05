"""Documents of a newer version are left to it; older ones are read and written anew."""

import orjson
import pytest
from pydantic import ValidationError

from exporter.adapters.schema import from_bytes, to_bytes
from exporter.domain.pause import Pauses
from exporter.domain.run import PlanRecord, Run
from exporter.domain.watermark import Watermark
from exporter.errors import NewerVersionError
from tests.builders import a_run


def test_a_document_of_a_newer_version_is_left_to_it() -> None:
    for document in (a_run(), Pauses(), Watermark.of(a_run())):
        content = orjson.loads(to_bytes(document))
        newer = {**content, "schema_number": content["schema_number"] + 1}
        for stored in (newer, {**newer, "more": 1}):
            with pytest.raises(NewerVersionError):
                from_bytes(type(document), orjson.dumps(stored))
        with pytest.raises(ValidationError):
            from_bytes(type(document), orjson.dumps({**content, "more": 1}))


def test_an_older_document_is_written_under_the_present_number() -> None:
    content = orjson.loads(to_bytes(a_run()))
    older = from_bytes(Run, orjson.dumps({**content, "schema_number": 1}))
    assert orjson.loads(to_bytes(older))["schema_number"] == content["schema_number"]


@pytest.mark.parametrize("data", [b"", b"[]", b"{}", b'{"schema_number": "2"}', b"\xff"])
def test_what_is_no_document_is_not_taken_for_a_newer_one(data: bytes) -> None:
    with pytest.raises(ValidationError):
        from_bytes(Run, data)


def test_a_run_of_a_version_that_knew_no_traces_is_read() -> None:
    content = orjson.loads(to_bytes(a_run()))
    before = {key: value for key, value in content.items() if key not in {"trace", "counted"}}

    older = from_bytes(Run, orjson.dumps({**before, "schema_number": 2}))

    assert older.trace is None
    assert to_bytes(older) == to_bytes(a_run())


def test_a_run_names_a_trace_or_none() -> None:
    content = orjson.loads(to_bytes(a_run()))

    with pytest.raises(ValidationError):
        from_bytes(Run, orjson.dumps({**content, "trace": "ann@example.org"}))


def test_a_plan_of_a_version_that_counted_nothing_unchanged_is_read() -> None:
    record = PlanRecord(epoch=1, rows=2, rejected=0, duplicates=0, reasons={}, bodies=((2,),))
    content = orjson.loads(to_bytes(record))
    before = {key: value for key, value in content.items() if key != "unchanged"}

    assert from_bytes(PlanRecord, orjson.dumps({**before, "schema_number": 1})).unchanged == 0


def test_a_watermark_of_a_version_that_knew_no_deltas_is_a_snapshots() -> None:
    content = orjson.loads(to_bytes(Watermark.of(a_run())))
    before = {key: value for key, value in content.items() if key != "content"}

    assert from_bytes(Watermark, orjson.dumps({**before, "schema_number": 1})).content == "snapshot"
