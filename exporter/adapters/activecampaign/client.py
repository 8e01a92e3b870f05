"""Sends requests to ActiveCampaign and hands their answers to the table of verdicts."""

import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final, TypeVar

import aiohttp

from exporter.adapters.activecampaign.resolving import PublicResolver
from exporter.adapters.activecampaign.responses import (
    Answer,
    classify_bulk,
    classify_info,
    classify_resource,
)
from exporter.adapters.secrets import SecretReader
from exporter.domain.chunk import request_body
from exporter.domain.configuration import Connection
from exporter.domain.hosts import HostPolicy
from exporter.domain.verdict import BatchStatus, Verdict, VerdictKind
from exporter.errors import ConfigurationError, SecretUnavailableError
from exporter.steps.ports import Clock

Meaning = TypeVar("Meaning")

CONNECT_SECONDS: Final = 10.0
ANSWER_SECONDS: Final = 60.0
MAX_ANSWER_BYTES: Final = 8_000_000
_MAX_SESSIONS: Final = 32


class AiohttpDestinations:
    """One session for all accounts; opens destinations that share it."""

    def __init__(
        self, session: aiohttp.ClientSession, secrets: SecretReader, policy: HostPolicy, clock: Clock
    ) -> None:
        self._session = session
        self._secrets = secrets
        self._policy = policy
        self._clock = clock

    @asynccontextmanager
    async def open(self, connection: Connection) -> AsyncIterator["AiohttpDestination"]:
        """The destination of a connection.

        Raises ConfigurationError for its host or its key, SecretUnavailableError while the vault is away.
        """
        base_url = self._policy.base_url(connection.host)
        key = await self._secrets.get(connection.secret)
        yield AiohttpDestination(
            self._session,
            f"{base_url}/api/3/",
            connection.secret,
            key.get_secret_value(),
            self._secrets,
            self._clock,
        )

    async def key_mark(self, connection: Connection) -> str:
        """The mark of the key that the connection's secret holds now, read anew.

        Raises ConfigurationError when it can't be read, SecretUnavailableError while the vault is away.
        """
        return _mark_of((await self._secrets.get(connection.secret, fresh=True)).get_secret_value())


def _mark_of(key: str) -> str:
    """A digest that tells keys apart; a key is long and made by chance, so nobody finds it from that."""
    return hashlib.sha256(f"exporter key mark {key}".encode()).hexdigest()[:16]


@asynccontextmanager
async def open_session() -> AsyncIterator[aiohttp.ClientSession]:
    """A session without cookies and proxies, with limits on time; closed at the end.

    aiohttp heeds neither HTTPS_PROXY nor .netrc unless it is told to: the key meets nobody on the way.
    """
    timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS, sock_connect=CONNECT_SECONDS)
    async with aiohttp.ClientSession(
        timeout=timeout,
        connector=aiohttp.TCPConnector(limit=_MAX_SESSIONS, resolver=PublicResolver()),
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=True,
    ) as session:
        # aiohttp repeats a GET whose connection broke, beyond the budget; there is no public switch for it.
        session._retry_connection = False  # noqa: SLF001 - as said above
        yield session


class AiohttpDestination:
    """One account, through one connection. Redirects are never followed: the key would go along."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        api_url: str,
        secret_name: str,
        key: str,
        secrets: SecretReader,
        clock: Clock,
    ) -> None:
        self._session = session
        self._api_url = api_url
        self._secret_name = secret_name
        self._key = key
        self._secrets = secrets
        self._clock = clock

    async def send_bulk(self, contacts: bytes, *, automations: bool) -> Verdict:
        """Post one body to the bulk importer."""
        body = request_body(contacts, automations=automations)
        return await self._ask("POST", "import/bulk_import", classify=classify_bulk, body=body)

    async def batch_status(self, batch_id: str) -> BatchStatus | Verdict:
        """Ask what became of a batch."""
        return await self._ask("GET", "import/info", classify=classify_info, parameters={"batchId": batch_id})

    async def get(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        """Read a resource below /api/3."""
        return await self._ask("GET", path, classify=classify_resource, parameters=parameters)

    async def delete(self, path: str, parameters: dict[str, str] | None = None) -> dict[str, Any] | Verdict:
        """Delete a resource below /api/3."""
        return await self._ask("DELETE", path, classify=classify_resource, parameters=parameters)

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        classify: Callable[[Answer, datetime], Meaning],
        body: bytes | None = None,
        parameters: dict[str, str] | None = None,
    ) -> Meaning | Verdict:
        """What the answer to a request means; a refusal tells which key was refused.

        Other requests may be under way, and find another key meanwhile.
        """
        key = self._key
        answer = await self._request(key, method, path, body, parameters)
        meaning = answer if isinstance(answer, Verdict) else classify(answer, self._clock.now())
        if isinstance(meaning, Verdict) and meaning.kind in {VerdictKind.DENIED, VerdictKind.UNPAID}:
            return replace(meaning, key_mark=_mark_of(key))
        return meaning

    async def _request(
        self, key: str, method: str, path: str, body: bytes | None, parameters: dict[str, str] | None
    ) -> Answer | Verdict:
        """Make a request; when its key is refused, look whether the secret holds another one by now."""
        answer = await self._request_once(key, method, path, body, parameters)
        if isinstance(answer, Verdict) or answer.status not in {401, 403}:
            return answer
        try:
            self._key = (await self._secrets.get(self._secret_name, fresh=True)).get_secret_value()
        except (ConfigurationError, SecretUnavailableError) as error:
            return Verdict(VerdictKind.DENIED, str(error))
        if self._key != key:
            return Verdict(VerdictKind.REKEYED, "the key was replaced meanwhile")
        return answer

    async def _request_once(
        self, key: str, method: str, path: str, body: bytes | None, parameters: dict[str, str] | None
    ) -> Answer | Verdict:
        headers = {"Api-Token": key, "Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                method,
                f"{self._api_url}{path}",
                params=parameters,
                data=body,
                headers=headers,
                allow_redirects=False,
            ) as response:
                content = await response.content.read(MAX_ANSWER_BYTES)
                while chunk := await response.content.read(MAX_ANSWER_BYTES - len(content)):
                    content += chunk
                # No answer may carry the key into a report or a log.
                content = content.replace(key.encode(), b"<key>")
                return Answer(response.status, dict(response.headers), content)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            return Verdict(VerdictKind.UNAVAILABLE, f"no connection ({type(error).__name__})")
        except (aiohttp.ClientError, TimeoutError) as error:
            return Verdict(VerdictKind.UNKNOWN, f"the answer got lost ({type(error).__name__})")
