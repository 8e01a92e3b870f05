"""An HTTP server on a loopback port, in a thread of its own: for tools and tests that block meanwhile."""

import asyncio
import threading
from typing import Self

from aiohttp import web

from sandbox.certificates import Certificate

_LOOPBACK = "127.0.0.1"
_CLOSING_SECONDS = 0.5


class LoopbackServer:
    """Serves an application: start it, use its `url`, stop it; or `with`. Over https with a certificate."""

    def __init__(
        self, app: web.Application, *, certificate: Certificate | None = None, port: int = 0
    ) -> None:
        self._app = app
        self._certificate = certificate
        self._port = port
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="loopback", daemon=True)
        self._runner: web.AppRunner | None = None
        self.url = ""
        """http(s)://127.0.0.1:PORT once started."""

    def start(self) -> Self:
        """Listen. Raises OSError where the port is taken."""
        self._thread.start()
        try:
            port = asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result()
        except BaseException:
            self.stop()
            raise
        self.url = f"{'https' if self._certificate else 'http'}://{_LOOPBACK}:{port}"
        return self

    async def _listen(self) -> int:
        self._runner = web.AppRunner(self._app, access_log=None, shutdown_timeout=_CLOSING_SECONDS)
        await self._runner.setup()
        context = self._certificate.for_server() if self._certificate else None
        await web.TCPSite(self._runner, _LOOPBACK, self._port, ssl_context=context).start()
        port: int = self._runner.addresses[0][1]
        return port

    def stop(self) -> None:
        """Close the port and end the thread. Stopping twice does no harm."""
        if self._loop.is_closed():
            return
        if self._runner is not None:
            asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
