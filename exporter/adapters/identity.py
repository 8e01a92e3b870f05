"""The app's identity towards storage and vault: one credential for each identity and process."""

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final

from azure.core.credentials import AccessToken, AccessTokenInfo
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import CredentialUnavailableError, DefaultAzureCredential
from azure.identity.aio import DefaultAzureCredential as AsyncDefaultAzureCredential

# The SDK would wait for an endpoint that takes a call and never answers for five minutes. Storage's clients
# ask for a token anew at each of their own tries, so few are enough here.
_PATIENCE: Final[Mapping[str, Any]] = MappingProxyType(
    {"connection_timeout": 5, "read_timeout": 20, "retry_total": 2}
)


class _AsyncCredential(AsyncDefaultAzureCredential):
    """Says in one way that there is no token.

    Once the SDK's credential has had a token it hands the endpoint's own answers on, which look like refusals
    of the service that the token is for.
    """

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return await super().get_token(*scopes, **options)
        except Exception as error:
            raise _without_token(error) from error

    async def get_token_info(self, *scopes: str, **options: Any) -> AccessTokenInfo:
        try:
            return await super().get_token_info(*scopes, **options)
        except Exception as error:
            raise _without_token(error) from error


class _BlockingCredential(DefaultAzureCredential):
    """The same for clients that block."""

    def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        try:
            return super().get_token(*scopes, **options)
        except Exception as error:
            raise _without_token(error) from error

    def get_token_info(self, *scopes: str, **options: Any) -> AccessTokenInfo:
        try:
            return super().get_token_info(*scopes, **options)
        except Exception as error:
            raise _without_token(error) from error


def _without_token(error: Exception) -> ClientAuthenticationError:
    """The error that says that no identity gave a token, whatever the reason."""
    if isinstance(error, ClientAuthenticationError) and error.response is None:
        return error
    return CredentialUnavailableError(f"no identity gives a token ({type(error).__name__}: {error})")


@dataclass(frozen=True, slots=True)
class Identity:
    """Credentials of one identity: each keeps its tokens at hand, and renews them, for all its clients."""

    credential: AsyncDefaultAzureCredential
    blocking: DefaultAzureCredential
    """For clients that block."""


class Identities:
    """The identities of a process by client id; None is the app's own or the developer's."""

    def __init__(self, stack: AsyncExitStack) -> None:
        self._stack = stack
        self._known: dict[str | None, Identity] = {}

    async def get(self, client_id: str | None) -> Identity:
        """The identity, made at its first use.

        DefaultAzureCredential finds the platform's identity endpoint, or who is signed in on this machine;
        AZURE_TOKEN_CREDENTIALS narrows that down
        (learn.microsoft.com/azure/developer/python/sdk/authentication/credential-chains).
        """
        if client_id not in self._known:
            options = {**_PATIENCE, **({"managed_identity_client_id": client_id} if client_id else {})}
            identity = Identity(_AsyncCredential(**options), _BlockingCredential(**options))
            await self._stack.enter_async_context(identity.credential)
            self._stack.enter_context(identity.blocking)
            self._known[client_id] = identity
        return self._known[client_id]


@asynccontextmanager
async def open_identities() -> AsyncIterator[Identities]:
    """The identities of a process; closed at the end."""
    async with AsyncExitStack() as stack:
        yield Identities(stack)


def is_without_token(error: BaseException) -> bool:
    """Whether no identity gave a token: no service was asked, so none has refused anything."""
    return isinstance(error, ClientAuthenticationError) and error.response is None
