import re
from pathlib import Path
from typing import Any

import pytest

from exporter.cli import connections
from exporter.cli.running import ExitCode
from exporter.domain.configuration import Connection, Export, Mapping
from exporter.errors import StopRunError
from exporter.steps.preflight import AccountCheck
from tests.unit.cli.world import World, a_connection, an_export

FILE = """\
connections:
  - {id: acme, host: acme.api-us1.com, secret: key, consent: {accepted_by: Ann}}
exports:
  - {id: vip, connection: acme, list_id: 5, segments: [vip], mapping: {email: Email}}
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "acme.yaml"
    path.write_text(FILE)
    return path


def test_apply_stores_a_file_and_says_what_it_did(world: World, file: Path) -> None:
    assert world.command("apply", file, "--json") == ExitCode.DONE
    assert world.document == {
        "applied": True,
        "changes": [
            {"kind": "connection", "id": "acme", "action": "create", "paths": []},
            {"kind": "export", "id": "vip", "action": "create", "paths": []},
        ],
    }
    assert world.registry.writes == ["put connection acme", "put export vip"]

    file.write_text(FILE.replace("list_id: 5", "list_id: 6"))
    assert world.command("apply", file) == ExitCode.DONE
    assert "~ export vip" in world.out
    assert "list_id" in world.out
    assert "1 changed, 1 unchanged." in world.out


def test_a_dry_run_writes_nothing(world: World, file: Path) -> None:
    assert world.command("apply", file, "--dry-run") == ExitCode.DONE
    assert "Nothing was written (--dry-run): 2 changes to apply." in world.out
    assert world.registry.writes == []


def test_only_prune_removes(world: World, file: Path) -> None:
    world.command("apply", file)
    file.write_text("exports: []")
    world.command("apply", file)
    assert "The file holds nothing." in world.out
    world.command("apply", file, "--prune")
    assert "2 removed." in world.out


def test_an_export_of_a_connection_that_prune_would_remove_is_refused_with_its_line(
    world: World, file: Path
) -> None:
    world.command("apply", file)
    file.write_text(FILE[FILE.index("exports:") :])
    assert world.command("apply", file) == ExitCode.DONE
    assert world.command("apply", file, "--prune") == ExitCode.ERROR
    assert "acme.yaml:2: exports[vip].connection: there is no connection 'acme'" in world.err.replace(
        "\n", ""
    )


def test_all_problems_of_a_file_are_shown(world: World, file: Path) -> None:
    file.write_text(FILE.replace("list_id: 5", "list_id: x").replace("secret: key, ", ""))
    assert world.command("apply", file, "--json") == ExitCode.ERROR
    assert len(world.document["error"]["message"].splitlines()) == 2


@pytest.mark.parametrize(
    ("data", "message"), [(None, "No such file"), (b"\xff\xfe", "is not UTF-8 text (byte 0)")]
)
def test_a_file_that_cannot_be_read_is_an_error(
    world: World, file: Path, data: bytes | None, message: str
) -> None:
    file.unlink()
    if data is not None:
        file.write_bytes(data)
    assert world.command("apply", file) == ExitCode.ERROR
    assert message in world.err


def test_documents_are_listed_and_shown(world: World) -> None:
    assert world.command("connection", "list") == ExitCode.DONE
    assert "no connections yet" in world.out
    assert world.command("export", "list") == ExitCode.DONE
    assert "no exports yet" in world.out

    world.configure(exports=[an_export()])
    assert world.command("connection", "list", "--json") == ExitCode.DONE
    assert [Connection.model_validate(found) for found in world.document] == [a_connection()]
    assert world.command("export", "list", "--json") == ExitCode.DONE
    assert [Export.model_validate(found) for found in world.document] == [an_export()]
    assert world.command("export", "show", "vip", "--json") == ExitCode.DONE
    assert Export.model_validate(world.document) == an_export()

    world.command("connection", "list")
    assert "acme.api-us1.com" in world.out
    world.command("export", "list")
    assert "VIP customers" in world.out
    world.command("export", "show", "vip")
    assert "field City" in world.out
    assert "everybody in the segment" in world.out


def test_an_export_of_changes_is_shown_as_one(world: World) -> None:
    world.configure(exports=[an_export(content="delta", mapping=Mapping(email="Email", operation="What"))])

    world.command("export", "show", "vip")

    assert "changes (delta)" in world.out
    assert re.search(r"operation +column What", world.out)


def test_an_unknown_id_is_told_with_those_that_exist(world: World) -> None:
    world.configure(exports=[an_export()])
    assert world.command("export", "show", "vpi") == ExitCode.ERROR
    assert "there is no export 'vpi' (known: vip)" in world.err
    assert world.command("connection", "test", "x", "--json") == ExitCode.ERROR
    assert "known: acme" in world.document["error"]["message"]


def test_a_connection_is_tested_with_every_list_that_exports_use(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(exports=[an_export(), an_export(id="gold", list_id="12"), an_export(id="more")])

    async def check(connection: Connection, list_id: str | None, ports: Any) -> AccountCheck:
        if list_id == "12":
            raise StopRunError("list_missing", "list 12 does not exist")
        return AccountCheck("ann", "Customers" if list_id else None)

    monkeypatch.setattr(connections, "check_account", check)
    assert world.command("connection", "test", "acme", "--json") == ExitCode.ERROR
    assert world.document == {
        "connection": "acme",
        "ok": False,
        "checks": [
            {"check": "account", "ok": True, "code": None, "detail": "acme.api-us1.com, as ann"},
            {"check": "list 5", "ok": True, "code": None, "detail": "the list 'Customers'"},
            {"check": "list 12", "ok": False, "code": "list_missing", "detail": "list 12 does not exist"},
        ],
    }


def test_a_connection_that_works_is_done(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure()

    async def check(connection: Connection, list_id: str | None, ports: Any) -> AccountCheck:
        return AccountCheck("ann", None)

    monkeypatch.setattr(connections, "check_account", check)
    assert world.command("connection", "test", "acme") == ExitCode.DONE
    assert "acme.api-us1.com, as ann" in world.out


def test_a_refused_key_ends_the_test_at_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.configure(exports=[an_export()])

    async def check(connection: Connection, list_id: str | None, ports: Any) -> AccountCheck:
        raise StopRunError("key_refused", "the key is refused")

    monkeypatch.setattr(connections, "check_account", check)
    assert world.command("connection", "test", "acme", "--json") == ExitCode.ERROR
    assert [entry["code"] for entry in world.document["checks"]] == ["key_refused"]
