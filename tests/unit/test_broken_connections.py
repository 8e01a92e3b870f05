"""Connections that break, on real sockets: what is not known to be accepted counts as unknown."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TypeAlias, cast

import pytest

from exporter.adapters.activecampaign import client
from exporter.adapters.activecampaign.client import AiohttpDestination, AiohttpDestinations, open_session
from exporter.adapters.secrets import SecretReader
from exporter.domain.hosts import HostPolicy
from exporter.domain.verdict import VerdictKind
from exporter.settings import SecretText
from tests.builders import a_connection
from tests.fakes.clock import FakeClock

BODY = b'{"success":1,"queued_contacts":2,"batchId":"b-1"}'
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
CONTACTS = b'[{"email":"ann@example.org"},{"email":"bo@example.org"}]' + b" " * 300_000

Server: TypeAlias = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def resets_while_the_body_is_on_its_way(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def resets_when_it_has_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await whole_request(reader)
    reset(writer)


async def resets_in_the_middle_of_its_answer(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await whole_request(reader)
    writer.write(HEAD % len(BODY) + BODY[:-10])
    await writer.drain()
    reset(writer)


async def ends_before_its_answer_is_as_long_as_told(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    await whole_request(reader)
    writer.write(HEAD % (len(BODY) + 10) + BODY)
    writer.close()


async def never_answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await whole_request(reader)
    await reader.read()  # until the client has gone
    writer.close()


async def whole_request(reader: asyncio.StreamReader) -> None:
    head = await reader.readuntil(b"\r\n\r\n")
    (length,) = [line for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    await reader.readexactly(int(length.partition(b":")[2]))


def reset(writer: asyncio.StreamWriter) -> None:
    """Close so that the other side meets a reset, not an end."""
    connection: socket.socket = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@asynccontextmanager
async def destination_at(server: Server) -> AsyncIterator[AiohttpDestination]:
    """A destination whose ActiveCampaign is this server."""
    serving: list[asyncio.Task[None]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await server(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening, open_session() as session:
        host = f"127.0.0.1:{listening.sockets[0].getsockname()[1]}"
        clock = FakeClock()
        secrets = SecretReader(None, {"activecampaign-acme": SecretText("made-up")}, clock)
        destinations = AiohttpDestinations(session, secrets, HostPolicy(local_hosts=(host,)), clock)
        async with destinations.open(a_connection("acme", host=host)) as destination:
            yield destination
    await asyncio.gather(*serving, return_exceptions=True)


@pytest.mark.parametrize(
    "server",
    [
        resets_while_the_body_is_on_its_way,
        resets_when_it_has_all,
        resets_in_the_middle_of_its_answer,
        ends_before_its_answer_is_as_long_as_told,
    ],
    ids=lambda server: server.__name__,
)
async def test_a_connection_that_breaks_leaves_the_body_unknown(server: Server) -> None:
    async with destination_at(server) as destination:
        verdict = await destination.send_bulk(CONTACTS, automations=True)

    assert verdict.kind is VerdictKind.UNKNOWN


async def test_an_answer_that_does_not_come_in_time_leaves_the_body_unknown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.2)
    async with destination_at(never_answers) as destination:
        verdict = await destination.send_bulk(CONTACTS, automations=True)

    assert verdict.kind is VerdictKind.UNKNOWN
