"""The simulator as a server on a loopback port."""

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from . import control, routes_account, routes_contacts, routes_import, routes_memberships, routes_webhooks
from .account import Account
from .clock import Clock, ScaledClock
from .contacts import Contact
from .faults import FaultRule
from .gate import ACCOUNT, gate, short_name
from .outbound import Sender
from .settings import SimulatorSettings

_ROUTE_MODULES = (routes_import, routes_account, routes_contacts, routes_memberships, routes_webhooks)
_LOOPBACK = "127.0.0.1"
_LARGEST_BODY = 64 * 1024**2
_TICK_SECONDS = 0.05


def create_app(account: Account, sender: Sender) -> web.Application:
    """Build the application that serves one account."""
    app = web.Application(middlewares=[control.control_errors, gate], client_max_size=_LARGEST_BODY)
    app[ACCOUNT] = account
    app[control.SENDER] = sender
    for module in (*_ROUTE_MODULES, control):
        app.add_routes(module.routes)
    return app


def route_names() -> frozenset[str]:
    """Return what fault rules may call a route of the API."""
    definitions = [route for module in _ROUTE_MODULES for route in module.routes]
    return frozenset(
        short_name(route.method, route.path) for route in definitions if isinstance(route, web.RouteDef)
    )


class SimulatedActiveCampaign:
    """An ActiveCampaign account behind real sockets, to be used as `async with`.

    Without a clock it runs on real time at the settings' speed.
    """

    def __init__(
        self, settings: SimulatorSettings | None = None, *, clock: Clock | None = None, port: int = 0
    ) -> None:
        self.settings = settings or SimulatorSettings()
        self.clock: Clock = clock or ScaledClock(self.settings.speed)
        self.host = ""
        """`127.0.0.1:PORT` once started."""
        self._port = port
        self._account = Account(self.settings, self.clock, route_names())
        self._sender = Sender(self._account)
        self._account.send = self._sender.put
        self._runner: web.AppRunner | None = None
        self._tasks: list[asyncio.Task[None]] = []

    @property
    def url(self) -> str:
        """The base URL, without `/api/3`."""
        return f"http://{self.host}"

    @property
    def state(self) -> Account:
        """The account, with every batch finished whose end has come."""
        self._account.catch_up()
        return self._account

    def contact(self, email: str) -> dict[str, Any] | None:
        """Return a contact as the control API shows it."""
        contact = self.state.contacts.find(email)
        return None if contact is None else self.state.view(contact)

    def counters(self) -> dict[str, Any]:
        """Return the counters as the control API shows them."""
        return self.state.counters.as_json()

    def seed(self, **contact: Any) -> Contact:
        """Write a contact as it is to stand: `email`, `first_name`, `fields`, `tags`, `lists`, `bounced`."""
        return control.seed_contact(self.state, control.Seed.model_validate(contact))

    def install_fault(self, route: str, action: str, calls: object = "all") -> FaultRule:
        """Put a fault rule in force."""
        return self.state.faults.install({"route": route, "action": action, "calls": calls})

    def step(self, phases: int = 1, batch_id: str | None = None) -> None:
        """Move open batches some phases on (with `processing="step"`)."""
        self._account.step(phases, batch_id)

    async def flush(self) -> None:
        """Wait until all callbacks and webhooks queued so far have been made."""
        self._account.catch_up()
        await self._sender.drained()

    async def start(self) -> None:
        """Listen; `url` and `host` are known afterwards."""
        app = create_app(self._account, self._sender)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
        await self._runner.setup()
        await web.TCPSite(self._runner, _LOOPBACK, self._port, backlog=512).start()
        self.host = f"{_LOOPBACK}:{self._runner.addresses[0][1]}"
        self._account.url = self.url
        self._tasks = [asyncio.create_task(self._sender.run()), asyncio.create_task(self._tick())]

    async def stop(self) -> None:
        """Close the port and end the tasks."""
        for task in self._tasks:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        if self._runner is not None:
            await self._runner.cleanup()

    async def _tick(self) -> None:
        """Finish batches on time although nobody asks, so that callbacks leave on time."""
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            self._account.catch_up()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()
