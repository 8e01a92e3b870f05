"""The one place that builds the adapters and hands them to the steps."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

from azure.keyvault.secrets.aio import SecretClient

from exporter.adapters.activecampaign.client import AiohttpDestinations, open_session
from exporter.adapters.budgets import BlobBudgetStore
from exporter.adapters.claims import BlobClaimStore
from exporter.adapters.clock import SystemClock, SystemRandomness
from exporter.adapters.documents import Documents
from exporter.adapters.drops import BlobDropStore
from exporter.adapters.facts import BlobFactStore
from exporter.adapters.identity import Identities, open_identities
from exporter.adapters.pauses import BlobPauseStore
from exporter.adapters.plans import BlobPlanStore
from exporter.adapters.poison import BlobPoisonStore
from exporter.adapters.queues import StorageWorkQueue
from exporter.adapters.registry import BlobRegistry
from exporter.adapters.remains import StorageRemains
from exporter.adapters.reports import BlobReportStore
from exporter.adapters.retention import BlobRetentionLog
from exporter.adapters.runs import BlobRunStore
from exporter.adapters.secrets import SecretReader, open_vault
from exporter.adapters.signs import BlobSignsOfLife
from exporter.adapters.storage import Storage, is_outage, open_storage
from exporter.adapters.suppression import BlobSuppressionStore
from exporter.adapters.telemetry import LogTelemetry
from exporter.adapters.watermarks import BlobWatermarkStore
from exporter.settings import Settings
from exporter.steps.outage import outlast
from exporter.steps.ports import Clock, Ports, Telemetry

STEADFAST_SECONDS: Final = 400.0
"""So long a call waits for storage and identity when its process starts: less than the platform gives it."""


@dataclass(frozen=True, slots=True)
class App:
    """The steps' ports, ready, and what a process has one of."""

    ports: Ports
    settings: Settings
    storage: Storage
    secrets: SecretReader
    plan_gate: asyncio.Lock = field(default_factory=asyncio.Lock)


@asynccontextmanager
async def open_app(
    settings: Settings, *, impatient: bool = False, creates: bool = True, sends_telemetry: bool = False
) -> AsyncIterator[App]:
    """Everything wired for real; containers and queues that are missing are created if `creates` says so.

    Impatient, it gives a storage that does not answer up after seconds rather than minutes. Telemetry is sent
    by the app only: a command passes its trace on and leaves the rest to the app.
    """
    clock, randomness = SystemClock(), SystemRandomness()
    async with AsyncExitStack() as stack:
        identities = await stack.enter_async_context(open_identities())
        storage = await stack.enter_async_context(
            open_storage(
                settings.storage,
                settings.landing,
                identities=identities,
                impatient=impatient,
                creates=creates,
            )
        )
        session = await stack.enter_async_context(open_session())
        documents = Documents(storage.state, clock, randomness)
        secrets = SecretReader(await _open_vault(settings, identities, stack), settings.local_secrets, clock)
        owner = randomness.token()
        telemetry = _open_telemetry(settings, owner, stack) if sends_telemetry else LogTelemetry()
        yield App(
            Ports(
                owner=owner,
                clock=clock,
                randomness=randomness,
                telemetry=telemetry,
                registry=BlobRegistry(documents),
                drops=BlobDropStore(storage.landing, storage.blocking_landing, documents),
                runs=BlobRunStore(documents),
                pauses=BlobPauseStore(documents),
                suppression=BlobSuppressionStore(documents, randomness),
                plans=BlobPlanStore(storage.state, storage.blocking_state, documents),
                facts=BlobFactStore(documents),
                claims=BlobClaimStore(documents, clock),
                budgets=BlobBudgetStore(documents, clock),
                watermarks=BlobWatermarkStore(documents),
                queue=StorageWorkQueue(storage.queues),
                poison=BlobPoisonStore(documents, clock),
                reports=BlobReportStore(storage.state),
                signs=BlobSignsOfLife(storage.state, clock),
                retention=BlobRetentionLog(documents),
                remains=StorageRemains(storage.accounts),
                destinations=AiohttpDestinations(session, secrets, settings.host_policy, clock),
                is_outage=is_outage,
                quiet=settings.quiet,
                drop_retention=settings.drop_retention,
            ),
            settings,
            storage,
            secrets,
        )


def _open_telemetry(settings: Settings, owner: str, stack: AsyncExitStack) -> Telemetry:
    """Where events, spans and metrics go: to the log alone where no Application Insights is named."""
    if settings.insights is None:
        return LogTelemetry()
    from exporter.adapters.insights import open_insights

    telemetry = open_insights(settings.insights, settings.trace_percentage, owner)
    stack.callback(telemetry.close)
    return telemetry


async def _open_vault(
    settings: Settings, identities: Identities, stack: AsyncExitStack
) -> SecretClient | None:
    """A client of the vault by the identity of the state, or None where local settings hold the keys."""
    if settings.vault_url is None:
        return None
    identity = await identities.get(settings.storage.client_id)
    return await stack.enter_async_context(open_vault(settings.vault_url, identity.credential))


@dataclass(slots=True)
class AppOfProcess:
    """The one app of a Functions worker process: opened at its first call, never closed by the platform.

    Impatient where somebody waits for the answer: it touches storage only when it is asked something.
    """

    impatient: bool = False
    clock: Clock = field(default_factory=SystemClock)
    _app: App | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _opening: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def get(self, settings: Settings) -> App:
        """The app, opened if need be.

        An outage while it is opened is waited for, unless it is impatient: to raise would count as a try of
        the message, and five tries are the end of its run.
        """
        give_up_at = self.clock.monotonic() + (0.0 if self.impatient else STEADFAST_SECONDS)
        async with self._opening:
            if self._app is None:
                self._app = await outlast(lambda: self._open(settings), is_outage, self.clock, give_up_at)
            return self._app

    async def _open(self, settings: Settings) -> App:
        return await self._stack.enter_async_context(
            open_app(settings, impatient=self.impatient, creates=not self.impatient, sends_telemetry=True)
        )
