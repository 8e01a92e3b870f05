"""`exporter drop FILE… --segment S`: files to where the trigger sees them, as an upstream system would."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.text import Text

from exporter.cli.console import Output
from exporter.cli.follow import follow
from exporter.cli.reports import report_text
from exporter.cli.running import ExitCode, JsonOption, exit_code, open_session, run
from exporter.cli.wording import number, plural
from exporter.domain.configuration import Export, check_segment_name
from exporter.domain.drop import Source, drop_version, is_hidden
from exporter.domain.layout import Place, classify
from exporter.domain.manifest import is_manifest
from exporter.domain.recipe import Completeness, Recipe
from exporter.domain.recipes import BUILT_IN
from exporter.domain.run import RunReport
from exporter.domain.source_file import SourceFile
from exporter.errors import ConfigurationError
from exporter.steps.landing import known_recipes
from exporter.steps.ports import Ports

_BLOCK_BYTES: Final = 4 * 1024 * 1024
_LOOK_SECONDS: Final = 1.0
_HINT_AFTER_LOOKS: Final = 20
_CHECK_EVERY_LOOKS: Final = 5


@dataclass(frozen=True, slots=True)
class Dropped:
    """A drop as it was put."""

    segment: str
    sources: tuple[Source, ...]
    exports: tuple[str, ...]
    """The exports that take the segment."""

    @property
    def version(self) -> str:
        """The drop's version: the same files are the same drop."""
        return drop_version(self.sources)

    def as_json(self) -> dict[str, Any]:
        """What was put, for programs."""
        blobs = [{"blob": source.blob, "etag": source.etag, "size": source.size} for source in self.sources]
        return {
            "segment": self.segment,
            "version": self.version,
            "blobs": blobs,
            "exports": [*self.exports],
        }


def drop(
    files: Annotated[list[Path], typer.Argument(metavar="FILE", help="One file, or all parts of a drop.")],
    segment: Annotated[str, typer.Option(help="The segment whose newest version this is.")],
    wait: Annotated[bool, typer.Option("--wait", help="Follow the runs to their end.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Put files where the trigger sees them; with --wait, follow what becomes of them."""

    async def work(output: Output) -> int:
        check_files(files, segment)
        async with open_session() as session:
            dropped = await put_drop(files, segment, session.ports)
            warn_if_unwanted(dropped, await _exports(session.ports), output)
            output.show(_what_was_put(dropped))
            if not wait:
                output.document(dropped.as_json())
                return ExitCode.DONE
            reports = await follow_drop(dropped, session.ports, output)
        output.document([report.model_dump(mode="json") for report in reports])
        output.show(*(report_text(report) for report in reports))
        return exit_code(reports)

    run(work, as_json=as_json)


def check_files(files: Sequence[Path], segment: str) -> None:
    """Raise ConfigurationError, before anything is put, with all that is wrong with segment and files."""
    problems = []
    try:
        check_segment_name(segment)
    except ValueError as error:
        problems.append(f"--segment: {error}")
    problems += [problem for file in files for problem in _file_problems(file)]
    names = [file.name for file in files]
    doubled = sorted({name for name in names if names.count(name) > 1})
    problems += [f"{name}: more than one file has this name" for name in doubled]
    if problems:
        raise ConfigurationError("\n".join(problems))


def _file_problems(file: Path) -> Iterator[str]:
    if not file.exists():
        yield f"{file}: there is no such file"
    elif file.is_dir():
        yield f"{file}: is a directory: name the files in it"
    elif not file.is_file():
        yield f"{file}: is not a regular file"
    elif file.stat().st_size == 0:
        yield f"{file}: is empty"
    if is_hidden(file.name):
        yield f"{file}: files whose names begin with _ or . are never read: rename it"
    elif is_manifest(file.name):
        yield f"{file}: a file of this name lists other files, and is not read for rows: rename it"
    elif not file.name.isprintable() or "\\" in file.name:
        yield f"{str(file)!r}: the name holds characters that a blob's name should not have: rename it"


async def put_drop(files: Sequence[Path], segment: str, ports: Ports) -> Dropped:
    """Put one file as a whole snapshot, or several as a folder that its end marker closes.

    Raises ConfigurationError, before anything is put, where a user's recipe makes something else of it.
    """
    recipes = await known_recipes(ports)
    folder = f"{segment}/{folder_name(ports.clock.now(), ports.randomness.token())}"
    is_whole = len(files) == 1 and _is_whole(f"{segment}/{files[0].name}", segment, recipes)
    blobs = [f"{segment if is_whole else folder}/{file.name}" for file in files]
    for blob in blobs:
        _check_own_recipes(blob, segment, recipes)
    sources = [
        await ports.drops.put(blob, read_blocks(file)) for blob, file in zip(blobs, files, strict=True)
    ]
    if not is_whole:  # written last: the marker says that all parts are there
        await ports.drops.put(f"{folder}/_SUCCESS", ())
    exports = await _exports(ports)
    taking = sorted(export.id for export in exports if segment in export.segments)
    return Dropped(segment, tuple(sources), tuple(taking))


def _is_whole(blob: str, segment: str, recipes: Sequence[Recipe]) -> bool:
    """Whether a file of this name is a whole snapshot by itself; one named like a part waits for others."""
    place = classify(blob, recipes)
    if not isinstance(place, Place) or place.segment != segment:
        return False
    return place.recipe.complete == (Completeness.AT_ONCE,)


def _check_own_recipes(blob: str, segment: str, recipes: Sequence[Recipe]) -> None:
    """Raise ConfigurationError where a recipe of the user's takes a file for another segment's."""
    place = classify(blob, recipes)
    if isinstance(place, Place) and place.recipe not in BUILT_IN and place.segment != segment:
        raise ConfigurationError(
            f"{blob} would be read for the segment {place.segment!r}, as the recipe '{place.recipe.id}' "
            f"says (`exporter recipe show {place.recipe.id}`): rename the file, or narrow that pattern"
        )


def folder_name(now: datetime, token: str) -> str:
    """A folder's name that sorts by time and that no other drop has."""
    return f"{now:%Y%m%dT%H%M%SZ}-{token[:6]}"


def warn_if_unwanted(dropped: Dropped, exports: Sequence[Export], output: Output) -> None:
    """Say at once that nothing will happen when no export takes the segment."""
    if dropped.exports:
        return
    known = sorted({segment for export in exports for segment in export.segments})
    output.warn(
        f"no export takes the segment {dropped.segment!r} (known: {', '.join(known) or 'none'}); "
        "add it to an export with `exporter apply FILE`, then drop again"
    )


async def follow_drop(dropped: Dropped, ports: Ports, output: Output) -> list[RunReport]:
    """Wait until the drop is taken up, then follow its runs to their end."""
    run_ids = await _await_runs(dropped, ports, output)
    return await follow(run_ids, ports, output)


async def _await_runs(dropped: Dropped, ports: Ports, output: Output) -> tuple[str, ...]:
    """The runs of the drop, once its record says which; a drop that was replaced has none."""
    looks = 0
    while True:
        record = await ports.drops.recorded(dropped.version)
        if record is not None:
            return record.run_ids
        looks += 1
        if looks % _CHECK_EVERY_LOOKS == 0:
            await _check_still_there(dropped, ports)
        if looks == _HINT_AFTER_LOOKS:
            output.note("Nobody has taken the drop up yet: is the app running? (`exporter up` runs it here)")
        await ports.clock.sleep(_LOOK_SECONDS)


async def _check_still_there(dropped: Dropped, ports: Ports) -> None:
    for source in dropped.sources:
        present = await ports.drops.source(source.blob)
        if present is None or present.etag != source.etag:
            raise ConfigurationError(
                f"{source.blob} was replaced or removed before it was taken up: nothing came of this drop"
            )


async def _exports(ports: Ports) -> list[Export]:
    return [stored.value for stored in (await ports.registry.exports()).values()]


def local_file(file: Path) -> SourceFile:
    """A file of this machine, as a drop would have it."""
    return SourceFile(file.name, partial(read_blocks, file), lambda: file.open("rb"))


def read_blocks(file: Path) -> Iterator[bytes]:
    """A file's bytes in blocks of 4 MiB."""
    with file.open("rb") as stream:
        while block := stream.read(_BLOCK_BYTES):
            yield block


def _what_was_put(dropped: Dropped) -> Text:
    size = sum(source.size for source in dropped.sources)
    text = Text(f"Dropped {plural(len(dropped.sources), 'file')}, {number(size)} bytes")
    text.append(f" as segment {dropped.segment}")
    if dropped.exports:
        text.append(f" for export {', '.join(dropped.exports)}")
    text.append(".\n")
    text.append("\n".join(f"  {source.blob}" for source in dropped.sources), style="dim")
    return text
