"""What is installed is what pyproject asks for, pinned to versions and to files.

That the pins are the newest that fit, only `make requirements` can tell: it asks the package index.
"""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
DEPLOYED = [Requirement(text) for text in PROJECT["project"]["dependencies"]]
DEVELOPMENT = [Requirement(text) for text in PROJECT["dependency-groups"]["dev"]]
WORKER = [Requirement(text) for text in PROJECT["dependency-groups"]["worker"]]
VERSIONS = ("3.11", "3.12", "3.13")


@dataclass(frozen=True)
class Pin:
    """One entry of a requirements file: a version, for whom, the files that may be it, and who asks."""

    name: str
    version: str
    marker: Marker | None
    hashes: tuple[str, ...]
    asked_for_by: frozenset[str]

    def holds_for(self, python: str) -> bool:
        surroundings = {"python_version": python, "python_full_version": f"{python}.5"}
        return self.marker is None or self.marker.evaluate(surroundings)


def pins_in(name: str) -> list[Pin]:
    """The entries of a requirements file; any other line in it is refused."""
    text = (ROOT / name).read_text().replace("\\\n", " ")
    pins = []
    for entry in re.split(r"^(?=[a-z])", text, flags=re.MULTILINE):
        if not entry:
            continue
        line, *comments = entry.splitlines()
        assert all(re.fullmatch(r"\s+# .*", comment) for comment in comments), entry
        wanted, *hashes = line.split("--hash=sha256:")
        requirement = Requirement(wanted.strip())
        (version,) = requirement.specifier
        assert version.operator == "==", entry
        asked = re.sub(r"\s+#|via", " ", " ".join(comments)).split()
        pins.append(
            Pin(
                canonicalize_name(requirement.name),
                version.version,
                requirement.marker,
                tuple(text.strip() for text in hashes),
                frozenset(asked),
            )
        )
    return pins


FILES = {
    "requirements.txt": DEPLOYED,
    "requirements-dev.txt": DEPLOYED + DEVELOPMENT,
    "requirements-worker.txt": DEPLOYED + WORKER,
}
FOR_ONE_PYTHON = {"requirements-worker.txt": "3.13"}


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("python", VERSIONS)
def test_everything_that_is_asked_for_is_pinned_once_to_a_version_that_fits(file: str, python: str) -> None:
    if FOR_ONE_PYTHON.get(file, python) != python:
        return  # this Python never installs the file
    pins = [pin for pin in pins_in(file) if pin.holds_for(python)]
    assert len({pin.name for pin in pins}) == len(pins)
    pinned = {pin.name: pin for pin in pins}
    for wanted in FILES[file]:
        if wanted.marker is None or wanted.marker.evaluate({"python_version": python}):
            assert wanted.specifier.contains(pinned[canonicalize_name(wanted.name)].version), wanted


@pytest.mark.parametrize("file", FILES)
def test_every_pin_names_the_files_that_may_be_installed(file: str) -> None:
    """pip installs nothing else then, whatever the package index says (pip's hash-checking mode)."""
    pins = pins_in(file)

    assert pins
    assert [pin.name for pin in pins if not pin.hashes] == []
    assert all(re.fullmatch(r"[0-9a-f]{64}", found) for pin in pins for found in pin.hashes)


@pytest.mark.parametrize("file", FILES)
def test_nothing_is_installed_that_nobody_asks_for(file: str) -> None:
    pins = pins_in(file)
    names = {pin.name for pin in pins} | {"segment-exporter"}
    directly = {canonicalize_name(wanted.name) for wanted in FILES[file]}

    for pin in pins:
        askers = {re.sub(r"\[.*\]", "", asker) for asker in pin.asked_for_by if not asker.startswith("(")}
        assert askers, pin
        assert {canonicalize_name(asker.partition(":")[0]) for asker in askers} & names, pin
        assert ("pyproject.toml" in " ".join(pin.asked_for_by)) == (pin.name in directly), pin


def test_what_is_tested_is_what_is_deployed() -> None:
    tested = {(pin.name, pin.version, str(pin.marker), pin.hashes) for pin in pins_in("requirements-dev.txt")}
    deployed = {(pin.name, pin.version) for pin in pins_in("requirements.txt")}

    assert deployed <= {(name, version) for name, version, *_ in tested}


def test_the_worker_runs_what_is_deployed() -> None:
    deployed = {
        (pin.name, pin.version, pin.hashes) for pin in pins_in("requirements.txt") if pin.holds_for("3.13")
    }
    worker = {(pin.name, pin.version, pin.hashes) for pin in pins_in("requirements-worker.txt")}

    assert deployed <= worker


def test_make_installs_those_files() -> None:
    """The package itself comes without dependencies of its own, which would not be pinned."""
    makefile = (ROOT / "Makefile").read_text()

    assert "install --quiet --disable-pip-version-check -r requirements-dev.txt" in makefile
    assert "--no-deps --editable ." in makefile
    assert makefile.count("--generate-hashes") == len(FILES)
