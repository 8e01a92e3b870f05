"""What is left of a run for people: `reports/<run id>/rejects.csv`."""

import csv
import io
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Final

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobBlock
from azure.storage.blob.aio import ContainerClient

from exporter.domain.reject import Reject
from exporter.domain.rejects_file import HEADER, to_record
from exporter.errors import ConfigurationError

_BLOCK_CHARACTERS: Final = 1_000_000


class BlobReportStore:
    """Writes the rejects file in blocks, however long it is."""

    def __init__(self, state: ContainerClient) -> None:
        self._state = state

    async def write_rejects(self, run_id: str, rejects: AsyncIterator[Reject]) -> None:
        """Write the run's rejects file; an earlier one is replaced."""
        blob = self._state.get_blob_client(_path(run_id))
        blocks: list[BlobBlock] = []
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(HEADER)

        async def stage() -> None:
            block = BlobBlock(block_id=f"{len(blocks):06d}")
            await blob.stage_block(block.id, text.getvalue().encode())
            blocks.append(block)
            text.seek(0)
            text.truncate()

        async for reject in rejects:
            writer.writerow(to_record(reject))
            if text.tell() > _BLOCK_CHARACTERS:
                await stage()
        await stage()
        await blob.commit_block_list(blocks)

    async def read_rejects(self, run_id: str) -> AsyncIterator[bytes]:
        """The rejects file in blocks."""
        try:
            stream = await self._state.download_blob(_path(run_id))
        except ResourceNotFoundError:
            raise ConfigurationError(
                f"run {run_id} has no rejects file: it is written when a planned run ends"
            ) from None
        async for block in stream.chunks():
            yield block

    async def run_ids(self) -> AsyncIterator[str]:
        """The runs that have a rejects file."""
        async for blob in self._state.list_blobs(name_starts_with="reports/"):
            yield blob.name.split("/")[1]

    async def remove(self, run_id: str) -> None:
        """Delete a run's rejects file; that there is none is fine."""
        with suppress(ResourceNotFoundError):
            await self._state.delete_blob(_path(run_id))


def _path(run_id: str) -> str:
    return f"reports/{run_id}/rejects.csv"
