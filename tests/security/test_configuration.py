"""Nothing but what the schema names gets into a configuration or a stored document."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from exporter.domain.configuration import Connection, Consent, Export, Limits, Mapping
from exporter.domain.configuration_file import load_configuration
from exporter.domain.drop import DropRecord, Source
from exporter.domain.hosts import HostPolicy
from exporter.domain.pause import Pauses
from exporter.domain.run import PlanRecord, Run, RunReport
from exporter.errors import ConfigurationError
from exporter.settings import Settings
from exporter.steps.messages import ChunkMessage, PlanMessage, ReceiptsMessage, SettlementMessage
from tests.builders import a_connection, an_export

FILE = {
    "connections": [a_connection().model_dump(mode="json", exclude_unset=True)],
    "exports": [an_export().model_dump(mode="json", exclude_unset=True)],
}
PLACES = {
    "": (),
    "connection": ("connections", 0),
    "limits": ("connections", 0, "limits"),
    "consent": ("connections", 0, "consent"),
    "export": ("exports", 0),
    "mapping": ("exports", 0, "mapping"),
}
KNOWN = {
    "": {"connections", "exports"},
    "connection": set(Connection.model_fields),
    "limits": set(Limits.model_fields),
    "consent": set(Consent.model_fields),
    "export": set(Export.model_fields),
    "mapping": set(Mapping.model_fields),
}
TEMPTING = (
    *("is_admin", "role", "owner", "active_since", "schema", "schema_number", "etag", "run_id", "state"),
    *(
        "__class__",
        "__dict__",
        "__proto__",
        "constructor",
        "model_config",
        "key",
        "api_key",
        "url",
        "Host",
        " id",
    ),
)


def load(document: dict[str, Any]) -> None:
    load_configuration(json.dumps(document), filename="c.json", host_policy=HostPolicy())


def with_key(place: str, key: str, value: object) -> dict[str, Any]:
    """The file with one more key in one place."""
    document: dict[str, Any] = json.loads(json.dumps(FILE))
    part: Any = document
    for step in PLACES[place]:
        part = part[step]
    part[key] = value
    return document


def test_the_file_is_good_without_more() -> None:
    load(FILE)


@settings(max_examples=1000)
@given(
    st.sampled_from(sorted(PLACES)),
    st.sampled_from(TEMPTING) | st.text(st.characters(codec="utf-8"), max_size=12),
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5) | st.just([]) | st.just({}),
)
def test_a_key_outside_the_schema_is_refused_wherever_it_stands(place: str, key: str, value: object) -> None:
    if key in KNOWN[place]:
        return
    with pytest.raises(ConfigurationError, match=r"^c\.json:1"):
        load(with_key(place, key, value))


DOCUMENTS: list[type[BaseModel]] = [
    *(Connection, Limits, Consent, Export, Mapping, Source, DropRecord, Run, RunReport, PlanRecord, Pauses),
    *(PlanMessage, ChunkMessage, SettlementMessage, ReceiptsMessage),
]


@pytest.mark.parametrize("model", DOCUMENTS, ids=lambda model: model.__name__)
def test_every_stored_document_and_message_refuses_what_it_does_not_know(model: type[BaseModel]) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"is_admin": True})

    assert ("is_admin",) in {
        problem["loc"] for problem in caught.value.errors() if "extra" in problem["type"]
    }


@given(st.text(st.characters(codec="ascii", categories=["Lu", "Nd", "Pc"]), min_size=1, max_size=20))
def test_a_setting_of_ours_that_nobody_reads_is_refused(name: str) -> None:
    environ = {"EXPORTER_STORAGE": "UseDevelopmentStorage=true", f"EXPORTER_X{name}": "1"}

    with pytest.raises(ConfigurationError, match="is not a setting"):
        Settings.from_env(environ)
