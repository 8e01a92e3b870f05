"""What is left of runs for people, in memory."""

import csv
import io
from collections.abc import AsyncIterator

from exporter.domain.reject import Reject
from exporter.domain.rejects_file import HEADER, to_record
from exporter.errors import ConfigurationError
from tests.fakes.storage import Process


class FakeReportStore:
    """Rejects files as the text that they would be."""

    def __init__(self, process: Process) -> None:
        self._process = process

    async def write_rejects(self, run_id: str, rejects: AsyncIterator[Reject]) -> None:
        text = io.StringIO(newline="")
        writer = csv.writer(text)
        writer.writerow(HEADER)
        async for reject in rejects:
            writer.writerow(to_record(reject))
        await self._process.operate_write()
        self._process.storage.put(_path(run_id), text.getvalue().encode())
        await self._process.come_back()

    async def read_rejects(self, run_id: str) -> AsyncIterator[bytes]:
        document = await self._process.read(_path(run_id))
        if document.etag is None:
            raise ConfigurationError(f"run {run_id} has no rejects file")
        yield document.data

    async def run_ids(self) -> AsyncIterator[str]:
        for name in await self._process.names("reports/"):
            yield name.split("/")[1]

    async def remove(self, run_id: str) -> None:
        await self._process.remove(_path(run_id))


def _path(run_id: str) -> str:
    return f"reports/{run_id}/rejects.csv"
