"""Asks ActiveCampaign and gives its answers as they are."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final

import orjson

from exporter.adapters.activecampaign.client import AiohttpDestination, open_session
from exporter.adapters.activecampaign.responses import Answer, classify_bulk, clean
from exporter.adapters.secrets import SecretReader
from exporter.domain.configuration import Connection
from exporter.domain.hosts import HostPolicy
from exporter.domain.verdict import Verdict, VerdictKind
from exporter.errors import RetryLaterError
from exporter.steps.ports import Clock
from exporter.steps.raw import Reply

_WRONG_KEY: Final = "exporter-probe-this-is-not-a-key"


class AiohttpRawDestination(AiohttpDestination):
    """The same requests as those of the exporter, without its reading of the answers."""

    async def ask(
        self,
        method: str,
        path: str,
        *,
        parameters: dict[str, str] | None = None,
        body: bytes | None = None,
        wrong_key: bool = False,
    ) -> Reply:
        """Make a request below /api/3. Raises RetryLaterError when there is no answer."""
        if wrong_key:
            return await self._stranger().ask(method, path, parameters=parameters, body=body)
        answer = await self._request_once(self._key, method, path, body, parameters)
        if isinstance(answer, Verdict):
            raise RetryLaterError(f"ActiveCampaign did not answer {method} {path}: {answer.detail}")
        return _reply(answer, self._clock.now())

    def _stranger(self) -> "AiohttpRawDestination":
        """Somebody with another key."""
        return AiohttpRawDestination(
            self._session, self._api_url, self._secret_name, _WRONG_KEY, self._secrets, self._clock
        )


@asynccontextmanager
async def open_raw(
    connection: Connection, secrets: SecretReader, policy: HostPolicy, clock: Clock
) -> AsyncIterator[AiohttpRawDestination]:
    """The destination of a connection. Raises ConfigurationError for its host or its key."""
    base_url = policy.base_url(connection.host)
    key = (await secrets.get(connection.secret)).get_secret_value()
    async with open_session() as session:
        yield AiohttpRawDestination(session, f"{base_url}/api/3/", connection.secret, key, secrets, clock)


def _reply(answer: Answer, now: datetime) -> Reply:
    try:
        content = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        content = None
    # The reading of the bulk importer knows all throttles, also the one in the guise of a 400.
    verdict = classify_bulk(answer, now)
    return Reply(
        status=answer.status,
        headers={name.lower(): value for name, value in answer.headers.items()},
        content=content if isinstance(content, dict) else None,
        is_page=answer.body.lstrip()[:1] == b"<",
        words="" if 200 <= answer.status < 300 else clean(answer.body[:2000].decode(errors="replace")),
        stop=verdict if verdict.kind in {VerdictKind.THROTTLED, VerdictKind.UNAVAILABLE} else None,
    )
