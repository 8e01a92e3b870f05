"""Looking into the landing container: which files make a drop, and which drop of a segment is the newest."""

from datetime import datetime

from exporter.domain.drop import EndMarker, Ignored, Source, is_hidden, recognise
from exporter.steps.ports import Ports


async def sources_of(blob: str, meaning: object, ports: Ports) -> tuple[Source, ...]:
    """The files of the drop that a blob's arrival completes; none where they are gone."""
    if isinstance(meaning, EndMarker):
        files = await ports.drops.folder(meaning.folder)
        return tuple(
            file
            for file in files
            if not is_hidden(file.blob.removeprefix(meaning.folder)) and file.blob[-1] != "/"
        )
    source = await ports.drops.source(blob)
    return (source,) if source else ()


async def newest_drop(segment: str, ports: Ports) -> Source | None:
    """The blob that completed the newest drop of a segment; None where there is no complete one.

    Drops of one segment follow one another by time, ties by the greater name.
    """
    newest: Source | None = None
    for source in await ports.drops.folder(f"{segment}/"):
        if isinstance(recognise(source.blob), Ignored):
            continue
        if newest is None or _order(source) > _order(newest):
            newest = source
    return newest


def _order(source: Source) -> tuple[datetime, str]:
    return source.last_modified, source.blob
