"""What host and worker say to each other: frames of a JSON header and a body, over a socket pair.

Host to worker: `invoke`, `wake`, `stop`. Worker to host: `listening`, `answer`, `put`.
"""

import asyncio
import json
import socket
import struct
from dataclasses import dataclass
from typing import Any, Self

_LENGTHS = struct.Struct(">II")


@dataclass(frozen=True)
class Frame:
    """One thing said."""

    header: dict[str, Any]
    body: bytes = b""

    @property
    def kind(self) -> str:
        """What it is about."""
        return str(self.header["kind"])


class Wire:
    """One end of the conversation."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Self:
        """Take over one socket of a pair."""
        end.setblocking(False)
        return cls(*await asyncio.open_connection(sock=end))

    def say(self, kind: str, body: bytes = b"", **header: Any) -> None:
        """Send a frame; one to a process that is gone is dropped, its end is noticed elsewhere."""
        if self._writer.is_closing():
            return
        head = json.dumps({"kind": kind, **header}).encode()
        self._writer.write(_LENGTHS.pack(len(head), len(body)) + head + body)

    async def hear(self) -> Frame | None:
        """Wait for the next frame; nothing means that the other side has ended."""
        try:
            lengths = _LENGTHS.unpack(await self._reader.readexactly(_LENGTHS.size))
            head = await self._reader.readexactly(lengths[0])
            return Frame(json.loads(head), await self._reader.readexactly(lengths[1]))
        except (asyncio.IncompleteReadError, ConnectionError):
            return None

    async def flush(self) -> None:
        """Wait until everything said is on its way."""
        try:
            await self._writer.drain()
        except ConnectionError:
            return

    def close(self) -> None:
        """End the conversation."""
        self._writer.close()
