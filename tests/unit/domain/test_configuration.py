import json
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from exporter.domain.configuration import (
    Configuration,
    Connection,
    Consent,
    Export,
    Limits,
    Mapping,
    TagColumn,
    fingerprint,
)
from exporter.domain.configuration_file import load_configuration
from exporter.domain.hosts import HostPolicy
from exporter.errors import ConfigurationError

FILE = """\
connections:
  - id: acme
    name: Acme marketing
    host: https://Acme.api-us1.com/api/3
    secret: activecampaign-acme
    limits: {bulk_requests_per_minute: 100, requests_per_second: 5, share: 1.0}
    consent: {accepted_by: ann@example.org}
exports:
  - id: vip
    name: VIP customers
    connection: acme
    list_id: "5"
    segments: [vip]
    mapping:
      email: Email
      first_name: FirstName
      last_name: LastName
      phone: Phone
      fields: {City: City, Score: 7}
    tags: [from-vip, {column: Tier}]
    empty: keep
    automations: false
    tolerated_reject_percentage: 5
"""
CONNECTION = Connection(
    id="acme",
    name="Acme marketing",
    host="acme.api-us1.com",
    secret="activecampaign-acme",
    consent=Consent(accepted_by="ann@example.org"),
)
EXPORT = Export(
    id="vip",
    name="VIP customers",
    connection="acme",
    list_id="5",
    segments=("vip",),
    mapping=Mapping(
        email="Email",
        first_name="FirstName",
        last_name="LastName",
        phone="Phone",
        fields={"City": "City", "Score": "7"},
    ),
    tags=("from-vip", TagColumn(column="Tier")),
)


def load(text: str, *, known: tuple[str, ...] = (), local: tuple[str, ...] = ()) -> Configuration:
    return load_configuration(
        text,
        filename="acme.yaml",
        host_policy=HostPolicy(local_hosts=local),
        known_connections=known,
    )


def problems(text: str, *, known: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(ConfigurationError) as caught:
        load(text, known=known)
    return str(caught.value).splitlines()


def refusal(text: str) -> str:
    """Why the text is refused; empty when it is not."""
    try:
        load(text)
    except ConfigurationError as error:
        return str(error)
    return ""


def changed(before: str, after: str) -> str:
    """The sample file with one place changed."""
    assert FILE.count(before) == 1
    return FILE.replace(before, after)


def test_a_whole_file_becomes_its_configuration() -> None:
    assert load(FILE) == Configuration(connections=(CONNECTION,), exports=(EXPORT,))


def test_json_is_as_good_as_yaml() -> None:
    document = json.loads(load(FILE).model_dump_json())
    for indent in (None, 2, "\t"):
        assert load(json.dumps(document, indent=indent)) == load(FILE)


def test_json_escapes_beyond_the_basic_plane_are_one_character() -> None:
    document = json.loads(load(FILE).model_dump_json())
    document["exports"][0]["tags"] = ["🎉"]
    assert load(json.dumps(document)).exports[0].tags == ("🎉",)


def test_what_has_a_default_may_be_left_out() -> None:
    configuration = load(
        dedent("""\
            connections:
              - {id: acme, host: acme.api-us1.com, secret: key, consent: {accepted_by: Ann}}
            exports:
              - {id: vip, connection: acme, list_id: 5, segments: [vip], mapping: {email: Email}}
            """)
    )
    export = configuration.exports[0]
    assert configuration.connections[0].limits == Limits()
    assert configuration.connections[0].name == "acme"
    assert (export.empty, export.automations, export.tags) == ("keep", False, ())


def test_a_number_for_a_list_becomes_text() -> None:
    assert load(changed('list_id: "5"', "list_id: 5")).exports[0].list_id == "5"


@pytest.mark.parametrize("word", ["no", "on", "2026-03-01", "0123", "1_000", "0x1F", "12:30:00"])
def test_words_that_older_yaml_reads_as_something_else_stay_text(word: str) -> None:
    configuration = load(changed("segments: [vip]", f"segments: [{word}]"))
    assert configuration.exports[0].segments == (word,)


def test_all_problems_are_reported_at_once_with_their_lines() -> None:
    text = """\
connections:
  - id: acme
    host: evil.com
    secret: key
    limits: {bulk_requests_per_minute: 200, share: 2}
    nmae: Acme
  - id: acme
    host: acme.api-us1.com
    secret: key
    consent: {accepted_by: Ann}
exports:
  - id: vip
    connection: acmee
    list_id: five
    segments: [vip, a/b, vip]
    mapping:
      emial: Email
      fields: {City: City, Town: "%CITY%"}
    empty: keep-it
    automations: off
    trigger: drop
"""
    found = problems(text)
    places = [line.split(": ")[:2] for line in found]
    assert places == [
        ["acme.yaml:2", "connections[acme].consent"],
        ["acme.yaml:3", "connections[acme].host"],
        ["acme.yaml:5", "connections[acme].limits.bulk_requests_per_minute"],
        ["acme.yaml:5", "connections[acme].limits.share"],
        ["acme.yaml:6", "connections[acme].nmae"],
        ["acme.yaml:7", "connections[acme].id"],
        ["acme.yaml:13", "exports[vip].connection"],
        ["acme.yaml:14", "exports[vip].list_id"],
        ["acme.yaml:15", "exports[vip].segments[1]"],
        ["acme.yaml:15", "exports[vip].segments[2]"],
        ["acme.yaml:16", "exports[vip].mapping.email"],
        ["acme.yaml:17", "exports[vip].mapping.emial"],
        ["acme.yaml:18", "exports[vip].mapping.fields.Town"],
        ["acme.yaml:19", "exports[vip].empty"],
        ["acme.yaml:20", "exports[vip].automations"],
        ["acme.yaml:21", "exports[vip].trigger"],
    ]
    assert "did you mean 'name'?" in found[4]
    assert "did you mean 'acme'?" in found[6]
    assert "did you mean 'email'?" in found[11]


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("id: acme\n", "id: Acme\n", "connections[0].id: should be 1 to 63 lower-case letters"),
        ("name: Acme marketing", "name: ''", "connections[acme].name: should not be empty"),
        ("name: Acme marketing", "name:", "connections[acme].name: should not be empty"),
        ("name: Acme marketing", "name: 7", "connections[acme].name: should be text (put it in quotes)"),
        ("share: 1.0", "share: 0", "connections[acme].limits.share: should be greater than 0"),
        ("share: 1.0", "share: .nan", "connections[acme].limits.share: should be a number"),
        (
            "share: 1.0",
            "shares: 1.0",
            "connections[acme].limits.shares: is not a known key; did you mean 'share'?",
        ),
        ("requests_per_second: 5", "requests_per_second: 6", "are for local hosts only"),
        ("requests_per_second: 5", "requests_per_second: 0", "requests_per_second: should be at least 1"),
        ("requests_per_second: 5", "requests_per_second: true", "should be a whole number"),
        ("limits: {bulk", "limits: 5 #", "connections[acme].limits: should be keys and values"),
        (
            "host: https://Acme.api-us1.com/api/3",
            "host: 10.0.0.1",
            "connections[acme].host: this is not a host",
        ),
        ("host: https://Acme.api-us1.com/api/3", "host: 127.0.0.1:80", "EXPORTER_LOCAL_HOSTS"),
        (
            "host: https://Acme.api-us1.com/api/3",
            'host: "a.api-us1.com\\r\\nX: y"',
            "host holds a line break",
        ),
        (
            "secret: activecampaign-acme",
            "secret: a/b",
            "connections[acme].secret: should be the name of a secret",
        ),
        ("secret: activecampaign-acme", f"secret: {'ab12' * 18}", "looks like an API key itself"),
        ("    consent: {accepted_by: ann@example.org}\n", "", "the person who confirms"),
        ("accepted_by: ann@example.org", "accepted_by: ' '", "accepted_by: should not be empty"),
        ('list_id: "5"', "list_id: 0", "exports[vip].list_id: should be the list's number"),
        ('list_id: "5"', "list_id: 5.0", "exports[vip].list_id: should be text"),
        ('list_id: "5"', "list_id: '\u0665'", "exports[vip].list_id: should be the list's number"),
        ("segments: [vip]", "segments: []", "exports[vip].segments: should not be empty"),
        ("segments: [vip]", "segments: vip", "exports[vip].segments: should be a list"),
        ("segments: [vip]", "segments: ['..']", "exports[vip].segments[0]: should be a segment's name"),
        ("segments: [vip]", 'segments: ["a\\u0000"]', "exports[vip].segments[0]: holds a line break"),
        ("segments: [vip]", f"segments: [{'x' * 201}]", "exports[vip].segments[0]: should be at most 200"),
        ("City: City", "City: ''", "exports[vip].mapping.fields.City: should not be empty"),
        (
            "City: City",
            "City: '7'",
            "exports[vip].mapping.fields.Score: the column 'City' fills the same field",
        ),
        ("City: City", "Score: 8", "exports[vip].mapping.fields.Score: the key is given again in line 19"),
        ("{column: Tier}", "from-vip", "exports[vip].tags[1]: is listed before"),
        (
            "{column: Tier}",
            "{colum: Tier}",
            "exports[vip].tags[1]: is not a known key; did you mean 'column'?",
        ),
        ("empty: keep", "empty: no", "exports[vip].empty: should be 'keep' or 'clear'"),
        ("percentage: 5", "percentage: 101", "tolerated_reject_percentage: should be at most 100"),
        (
            "connection: acme\n",
            "connection: other\n",
            "exports[vip].connection: there is no connection 'other'",
        ),
        ("exports:", "export:", "export: is not a known key; did you mean 'exports'?"),
    ],
)
def test_each_problem_says_where_and_what(before: str, after: str, message: str) -> None:
    assert any(message in line for line in problems(changed(before, after)))


@pytest.mark.parametrize(
    ("place", "key"),
    [
        ("    consent: {", "    may_use: []"),
        ("    consent: {", "    suppression: suppression/acme.csv"),
        ("      email:", "      profile_id: CustomerId"),
        ("      email:", "      consent: EmailOptIn"),
        ("    empty:", "    trigger: drop"),
        ("    empty:", "    on_leave: keep"),
        ("    empty:", "    brakes: {shrink_percentage: 30}"),
    ],
)
def test_keys_of_later_work_are_not_yet_supported(place: str, key: str) -> None:
    (line,) = problems(changed(place, f"{key}\n{place}"))
    assert line.endswith(f"{key.strip().partition(':')[0]}: is not yet supported: leave it out")


def test_an_export_of_changes_may_name_the_operation_column() -> None:
    text = changed("    empty:", "    content: delta\n    empty:")
    named = text.replace("      email: Email\n", "      email: Email\n      operation: What\n")

    assert load(text).exports[0].content == "delta"
    assert load(named).exports[0].mapping.operation == "What"
    assert load(FILE).exports[0].content == "snapshot"


def test_a_snapshot_has_no_operation_column() -> None:
    (line,) = problems(changed("      email: Email\n", "      email: Email\n      operation: What\n"))

    assert line.endswith(
        "mapping.operation: is read in drops of changes only: add `content: delta`, or leave it out"
    )
    with pytest.raises(ValidationError):
        Export.model_validate({**EXPORT.model_dump(), "mapping": {"email": "Email", "operation": "What"}})


@pytest.mark.parametrize("word", ["whole", "Delta", "[delta]"])
def test_content_is_one_of_two_words(word: str) -> None:
    (line,) = problems(changed("    empty:", f"    content: {word}\n    empty:"))

    assert line.endswith("content: should be 'snapshot' or 'delta'")


def test_a_stored_connection_may_be_used_without_being_in_the_file() -> None:
    exports_only = FILE[FILE.index("exports:") :]
    assert load(exports_only, known=("acme",)).exports == (EXPORT,)
    assert "there is no connection 'acme'" in problems(exports_only)[0]


def test_limits_above_the_documented_ones_are_for_local_hosts() -> None:
    text = changed("Acme.api-us1.com/api/3", "Acme.api-us1.com").replace(
        "https://Acme.api-us1.com", "127.0.0.1:80"
    )
    text = text.replace("bulk_requests_per_minute: 100", "bulk_requests_per_minute: 6000")
    assert load(text, local=("127.0.0.1:80",)).connections[0].limits.bulk_requests_per_minute == 6000
    with pytest.raises(ValidationError):
        Connection(**{**CONNECTION.model_dump(), "limits": Limits(requests_per_second=6)})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "acme.yaml: the file is empty"),
        ("a: [", "acme.yaml:1:5: this is not valid YAML"),
        ("a:\n\tb: 1", "acme.yaml:2:1: this is not valid YAML"),
        ("a: 1\n---\nb: 2", "acme.yaml:2:1: this is not valid YAML"),
        ("a: *b", "acme.yaml:1:4: this is not valid YAML"),
        ("exports: []\nexports: []", "acme.yaml:1: exports: the key is given again in line 2"),
        ("exports: !!python/object/apply:os.system [x]", "acme.yaml:1: exports"),
        ("exports: !!timestamp 2026", "acme.yaml:1: exports: holds a YAML tag that is not supported"),
        ("exports:\n  - \x00", "acme.yaml:2: the file holds a character"),
        ("- 1", "acme.yaml:1: the file: should be keys and values"),
        ("7", "acme.yaml:1: the file: should be keys and values"),
        ("[" * 5000, "acme.yaml: values are nested too deeply"),
        ("&a [*a]", "acme.yaml: the file holds more values"),
        (
            "a: &a [1,1,1,1,1,1,1,1,1]\n"
            + "".join(
                f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in zip("abcde", "bcdef", strict=True)
            ),
            "the file holds more values",
        ),
        ("#" * 1_000_001, "acme.yaml: the file is larger"),
        ("? [a]\n: 1", "acme.yaml:1: the file: holds a key that is not text"),
    ],
)
def test_a_file_that_is_no_configuration_is_refused(text: str, message: str) -> None:
    assert any(message in line for line in problems(text))


def test_secrets_and_people_do_not_show_in_the_problems() -> None:
    text = changed("secret: activecampaign-acme", f"secret: {'ab12' * 18}").replace(
        "VIP customers", "[canary]"
    )
    text = text.replace("accepted_by: ann@example.org", "accepted_by: [ann@example.org]")
    shown = "\n".join(problems(text))
    assert "ab12" not in shown
    assert "canary" not in shown
    assert "ann@" not in shown


def test_documents_are_frozen_and_round_trip() -> None:
    configuration = load(FILE)
    assert Configuration.model_validate_json(configuration.model_dump_json()) == configuration
    with pytest.raises(ValidationError):
        configuration.exports[0].empty = "clear"  # type: ignore[misc]


def test_doubled_ids_and_fields_are_refused_without_a_file_too() -> None:
    with pytest.raises(ValidationError):
        Configuration(connections=(CONNECTION, CONNECTION))
    with pytest.raises(ValidationError):
        Mapping(email="Email", fields={"City": "%CITY%", "Town": "city"})


def test_the_fingerprint_changes_with_either_document_and_with_nothing_else() -> None:
    first = fingerprint(EXPORT, CONNECTION)
    assert first == fingerprint(EXPORT.model_copy(), CONNECTION.model_copy())
    assert first != fingerprint(EXPORT.model_copy(update={"list_id": "6"}), CONNECTION)
    assert first != fingerprint(EXPORT, CONNECTION.model_copy(update={"host": "acme.activehosted.com"}))
    fields = dict(reversed(EXPORT.mapping.fields.items()))
    reordered = EXPORT.model_copy(update={"mapping": EXPORT.mapping.model_copy(update={"fields": fields})})
    assert first == fingerprint(reordered, CONNECTION)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["id", "host", "limits", "share", "mapping", "fields", "tags", "connection", "segments"]
            )
            | st.text(max_size=5),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["connections", "exports"]), st.lists(VALUES, max_size=3)))
def test_whatever_a_file_holds_is_loaded_or_refused_with_lines(value: object) -> None:
    refused = refusal(json.dumps(value))
    assert all(line.startswith("acme.yaml:1") for line in refused.splitlines())


@given(st.text(max_size=60))
def test_whatever_text_is_no_configuration_is_refused_by_name(text: str) -> None:
    assert refusal(text).startswith("acme.yaml:")
