"""What the simulator's tests share: a running simulator on a manual clock and a client for it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from sandbox.activecampaign import ManualClock, SimulatedActiveCampaign, SimulatorSettings


@dataclass
class Reply:
    """An answer as read."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


@dataclass
class Bench:
    """A simulator with its clock and a client."""

    sim: SimulatedActiveCampaign
    clock: ManualClock
    http: aiohttp.ClientSession

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str = "sandbox-key", root: str = "/api/3/"
    ) -> Reply:
        """Send a request; a body that is not bytes goes as JSON."""
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        headers = {"Api-Token": key} if key else {}
        async with self.http.request(
            method, f"{self.sim.url}{root}{path}", data=data, headers=headers
        ) as answer:
            return Reply(answer.status, dict(answer.headers), await answer.read())

    async def get(self, path: str, **options: Any) -> Reply:
        return await self.call("GET", path, **options)

    async def control(self, method: str, path: str, body: Any = None) -> Reply:
        return await self.call(method, path, body, key="", root="/_sandbox/")

    async def bulk(self, contacts: Any, **envelope: Any) -> Reply:
        """Post contacts; an address alone stands for a contact."""
        rows = [{"email": row} if isinstance(row, str) else row for row in contacts]
        return await self.call("POST", "import/bulk_import", {"contacts": rows, **envelope})

    async def settle(self, contacts: Any, **envelope: Any) -> dict[str, Any]:
        """Post contacts, let the batch reach its end, and return its status."""
        accepted = await self.bulk(contacts, **envelope)
        assert accepted.status == 200, accepted.body
        self.clock.advance(60)
        return await self.info(accepted.json["batchId"])

    async def info(self, batch_id: str) -> dict[str, Any]:
        reply = await self.get(f"import/info?batchId={batch_id}")
        assert reply.status == 200
        found: dict[str, Any] = reply.json
        return found

    def contact(self, email: str) -> dict[str, Any]:
        """Return a contact that has to be there."""
        found = self.sim.contact(email)
        assert found is not None
        return found


@asynccontextmanager
async def a_bench(**settings: Any) -> AsyncIterator[Bench]:
    """Run a simulator on a clock that stands still; the general limit is out of the way unless set."""
    chosen = SimulatorSettings(**{"requests_per_second": 10_000, **settings})
    clock = ManualClock()
    async with SimulatedActiveCampaign(chosen, clock=clock) as sim, aiohttp.ClientSession() as http:
        yield Bench(sim, clock, http)


def addresses(count: int, start: int = 0) -> list[str]:
    """Return so many different addresses."""
    return [f"p{number}@example.org" for number in range(start, start + count)]
