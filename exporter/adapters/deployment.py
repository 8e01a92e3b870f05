"""Azure Resource Manager over REST, with the operator's own identity; only reads."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from types import MappingProxyType
from typing import Any, Final, Self
from urllib.parse import urlsplit

import orjson
from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, ClientAuthenticationError
from azure.core.pipeline.policies import (
    AsyncBearerTokenCredentialPolicy,
    AsyncHTTPPolicy,
    AsyncRetryPolicy,
    UserAgentPolicy,
)
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import AsyncHttpResponse, HttpRequest

from exporter.domain.deployment import API_VERSIONS
from exporter.steps.deployment import GROUP_TYPE, SUBSCRIPTION_TYPE, Question
from exporter.steps.doctor import Code, TroubleError

ENDPOINT: Final = "https://management.azure.com"
SCOPE: Final = f"{ENDPOINT}/.default"
ANSWER_SECONDS: Final = 60.0
"""So long one question may take, its tries, waits and pages included."""
AT_ONCE: Final = 8
"""So many questions are under way at most."""
MAX_PAGES: Final = 50
MAX_ANSWER_BYTES: Final = 4_000_000

_API_VERSIONS: Final = MappingProxyType(
    {**API_VERSIONS, GROUP_TYPE: "2021-04-01", SUBSCRIPTION_TYPE: "2022-12-01"}
)
_ERROR_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,80}", re.ASCII)
_OPERATOR: Final = "$(az ad signed-in-user show --query id --output tsv)"

_Client = AsyncPipelineClient[HttpRequest, AsyncHttpResponse]


class RestResourceManager:
    """Asks Azure Resource Manager; an answer that does not come is a TroubleError with its remedy."""

    def __init__(
        self,
        credential: AsyncTokenCredential,
        *,
        endpoint: str = ENDPOINT,
        transport: AioHttpTransport | None = None,
        retries: int = 3,
    ) -> None:
        self._endpoint = endpoint
        self._gate = asyncio.Semaphore(AT_ONCE)
        self._transport = transport or AioHttpTransport(connection_timeout=10, read_timeout=30)
        # No redirect is followed: Azure Resource Manager gives none, and a token goes to nobody else.
        self._client = self._client_with(retries, AsyncBearerTokenCredentialPolicy(credential, SCOPE))
        self._strangers_client = self._client_with(retries)

    def _client_with(self, retries: int, *policies: AsyncHTTPPolicy[Any, Any]) -> _Client:
        """A client; each needs policies of its own, since a pipeline chains them to each other."""
        first = [UserAgentPolicy("segment-exporter-doctor"), AsyncRetryPolicy(retry_total=retries)]
        return AsyncPipelineClient(self._endpoint, policies=[*first, *policies], transport=self._transport)

    async def __aenter__(self) -> Self:
        await self._transport.open()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._transport.close()

    async def ask(self, question: Question) -> Any:
        """The answer as JSON, all items of a list; None where there is nothing. Raises TroubleError."""
        try:
            async with self._gate, asyncio.timeout(ANSWER_SECONDS):
                return await self._pages(question) if question.is_list else await self._ask(question)
        except TimeoutError:
            problem = f"Azure did not tell about {question.path} within {ANSWER_SECONDS:.0f} s"
            raise TroubleError(Code.AZURE_UNREACHABLE, problem, _by_hand(question)) from None
        except ClientAuthenticationError as error:
            problem = f"there is no identity that Azure Resource Manager knows ({type(error).__name__})"
            raise TroubleError(Code.IDENTITY_MISSING, problem, "`az login`") from None
        except AzureError as error:
            problem = f"Azure Resource Manager does not answer ({type(error).__name__})"
            raise TroubleError(Code.AZURE_UNREACHABLE, problem, _by_hand(question)) from None

    async def status_without_sign_in(self, host: str, path: str) -> int:
        """The HTTP status of a GET of an https address without credentials. Raises TroubleError."""
        url = f"https://{host}{path}"
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                response = await self._strangers_client.send_request(HttpRequest("GET", url), stream=True)
                async with response:
                    return response.status_code
        except (AzureError, TimeoutError) as error:
            problem = f"the app does not answer at {url} ({type(error).__name__})"
            raise TroubleError(Code.AZURE_UNREACHABLE, problem, f"`curl --include {url}`") from None

    async def _ask(self, question: Question) -> Any:
        url = f"{self._endpoint}{question.path}"
        query = {"api-version": _API_VERSIONS[question.type]}
        if question.filter:
            query["$filter"] = question.filter
        request = (
            HttpRequest("POST", url, params=query)
            if question.is_post
            else HttpRequest("GET", url, params=query)
        )
        return await self._send(request, question)

    async def _pages(self, question: Question) -> list[Any] | None:
        page = await self._ask(question)
        if page is None:
            return None
        items: list[Any] = []
        for _ in range(MAX_PAGES):
            values = page.get("value") if isinstance(page, dict) else None
            if not isinstance(values, list):
                raise _nonsense(question)
            items += values
            following = page.get("nextLink")
            if not following:
                return items
            page = await self._send(HttpRequest("GET", self._same_host(following, question)), question)
        raise _nonsense(question)

    def _same_host(self, link: Any, question: Question) -> str:
        """The address of the next page, if it is one of the same host: a token goes to nobody else.

        Some of Azure's own links name the port, and some do not.
        """
        with suppress(ValueError):
            if isinstance(link, str) and _origin(link) == _origin(self._endpoint):
                return link
        raise _nonsense(question)

    async def _send(self, request: HttpRequest, question: Question) -> Any:
        response = await self._client.send_request(request, stream=True)
        async with response:
            body = b""
            async for part in response.iter_bytes():
                body += part
                if len(body) > MAX_ANSWER_BYTES:
                    raise _nonsense(question)
        if response.status_code == 404:
            return None
        try:
            document = orjson.loads(body)
        except orjson.JSONDecodeError:
            document = None
        if response.status_code != 200:
            raise _refusal(response.status_code, document, question)
        if not isinstance(document, dict):
            raise _nonsense(question)
        return document


@asynccontextmanager
async def open_resource_manager() -> AsyncIterator[RestResourceManager]:
    """Azure Resource Manager with whatever identity the operator has signed in with."""
    from azure.identity.aio import DefaultAzureCredential

    async with DefaultAzureCredential() as credential, RestResourceManager(credential) as manager:
        yield manager


def _origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port, with what stands before the host. Raises ValueError for what is no address."""
    parts = urlsplit(url)
    user, at, _ = parts.netloc.rpartition("@")
    return (
        parts.scheme,
        f"{user}{at}{parts.hostname}",
        parts.port or (443 if parts.scheme == "https" else None),
    )


def _refusal(status: int, document: Any, question: Question) -> TroubleError:
    """What a status that is not 200 means; nothing of the answer's text but its code is repeated."""
    if status == 401:
        problem = "Azure Resource Manager does not know the identity (401)"
        return TroubleError(Code.IDENTITY_MISSING, problem, "`az login`")
    if status == 403:
        create = (
            f'`az role assignment create --role "{question.role}" --assignee {_OPERATOR} '
            f"--scope {shlex.quote(question.scope)}`"
        )
        return TroubleError(Code.RIGHT_MISSING, f"you may not read this: missing {question.action}", create)
    if status == 429 or status >= 500:
        problem = f"Azure Resource Manager does not serve just now ({status})"
        return TroubleError(Code.AZURE_UNREACHABLE, problem, _by_hand(question))
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    named = code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else "no code"
    return TroubleError(
        Code.AZURE_ERROR, f"Azure refuses to tell about this ({status} {named})", _by_hand(question)
    )


def _nonsense(question: Question) -> TroubleError:
    problem = "Azure's answer about this makes no sense"
    return TroubleError(Code.AZURE_ERROR, problem, _by_hand(question))


def _by_hand(question: Question) -> str:
    """The same question by Azure's own tool."""
    method = "post" if question.is_post else "get"
    url = shlex.quote(f"{question.path}?api-version={_API_VERSIONS[question.type]}")
    return f"`az rest --method {method} --url {url}`"
