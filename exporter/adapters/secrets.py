"""API keys: from Key Vault at run time, or from the local settings; kept at hand for minutes."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final
from urllib.parse import urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError
from azure.keyvault.secrets.aio import SecretClient

from exporter.adapters.identity import is_without_token
from exporter.errors import ConfigurationError, ExporterError, SecretUnavailableError
from exporter.settings import SecretText, secret_setting
from exporter.steps.ports import Clock

FRESH_SECONDS: Final = 300.0

# The SDK's own patience is five minutes for an answer, ten times over; whoever needs a key waits on a queue.
PATIENCE: Final[Mapping[str, Any]] = MappingProxyType(
    {"connection_timeout": 5, "read_timeout": 10, "retry_total": 2, "retry_backoff_max": 5}
)

_UNRESOLVED: Final = "@Microsoft.KeyVault("
_FIRST_SERVER_ERROR: Final = 500
_ROLE: Final = "Key Vault Secrets User"


def open_vault(url: str, credential: AsyncTokenCredential) -> SecretClient:
    """A client of the vault at a URL.

    Before the SDK asks for a token it checks that the vault's challenge names the vault's own domain
    (learn.microsoft.com/azure/key-vault/general/authentication-requests-and-responses); that stays on.
    """
    return SecretClient(url, credential, **PATIENCE)


class SecretReader:
    """Reads secrets by name. `vault` is None where local settings hold them."""

    def __init__(
        self, vault: SecretClient | None, local_secrets: Mapping[str, SecretText], clock: Clock
    ) -> None:
        self._vault = vault
        self._local = local_secrets
        self._clock = clock
        self._at_hand: dict[str, tuple[SecretText, float]] = {}

    async def get(self, name: str, *, fresh: bool = False) -> SecretText:
        """The secret; `fresh` reads it anew, for a key that was just refused.

        Raises ConfigurationError that says what to do, SecretUnavailableError where nobody need do anything
        but wait; the secret itself is in no message.
        """
        now = self._clock.monotonic()
        known = self._at_hand.get(name)
        if known is not None and not fresh and now - known[1] < FRESH_SECONDS:
            return known[0]
        secret = (
            self._from_settings(name) if self._vault is None else await self._from_vault(self._vault, name)
        )
        self._at_hand[name] = secret, now
        return secret

    def _from_settings(self, name: str) -> SecretText:
        try:
            return self._local[name.lower()]
        except KeyError:
            raise ConfigurationError(
                f"secret '{name}' is not set: give {secret_setting(name)} to the process that runs the "
                "exporter, or set EXPORTER_VAULT_URL and keep it in the vault"
            ) from None

    async def _from_vault(self, vault: SecretClient, name: str) -> SecretText:
        try:
            value = (await vault.get_secret(name)).value or ""
        except AzureError as error:
            raise explain_vault(error, name, vault.vault_url) from None
        except ValueError:  # the challenge names another domain than the vault's own
            raise ConfigurationError(
                f"{vault.vault_url} does not answer like a Key Vault of that name, so it was given no token: "
                "set EXPORTER_VAULT_URL to the vault's own URL, https://NAME.vault.azure.net"
            ) from None
        if value.startswith(_UNRESOLVED):
            raise ConfigurationError(
                f"secret '{name}' holds an unresolved Key Vault reference instead of a key: "
                "store the key itself"
            )
        try:
            return SecretText(value.strip())
        except ConfigurationError as error:
            raise ConfigurationError(f"secret '{name}': {error}") from None


def explain_vault(error: AzureError, name: str, vault_url: str) -> ExporterError:
    """What it means that the vault, or the identity on the way to it, gave no secret, and what mends it.

    The codes are the vault's (learn.microsoft.com/azure/key-vault/general/rest-error-codes).
    """
    vault = (urlsplit(vault_url).hostname or "").partition(".")[0]
    if is_without_token(error):
        return SecretUnavailableError(
            f"no identity gives a token for vault {vault_url}: on this machine `az login`; in Azure the app "
            "needs its identity, and AZURE_CLIENT_ID or EXPORTER_STORAGE__clientId where that is a "
            "user-assigned one. It is asked again"
        )
    if not isinstance(error, HttpResponseError) or error.response is None:
        return SecretUnavailableError(
            f"vault {vault_url} can't be reached ({type(error).__name__}): check EXPORTER_VAULT_URL and the "
            "network on the way. It is asked again"
        )
    status = error.status_code or 0
    if status in {408, 429} or status >= _FIRST_SERVER_ERROR:
        return SecretUnavailableError(
            f"vault {vault_url} does not serve secret '{name}' just now ({status}); it is asked again"
        )
    if isinstance(error, ResourceNotFoundError):
        return ConfigurationError(
            f"secret '{name}' is not in vault {vault_url}: add it there, or correct the connection's secret"
        )
    if status == 401:
        return ConfigurationError(
            f"vault {vault_url} does not take the identity's token (401): both should be in one tenant: "
            f"`az keyvault show --name {vault} --query properties.tenantId`"
        )
    match _inner_code(error):
        case "SecretDisabled":
            return ConfigurationError(
                f"secret '{name}' in vault {vault_url} is disabled: `az keyvault secret set-attributes "
                f"--vault-name {vault} --name {name} --enabled true`, or store the key anew"
            )
        case "ForbiddenByFirewall" | "ForbiddenByConnection":
            return ConfigurationError(
                f"the network rules of vault {vault_url} keep this process out: `az keyvault network-rule "
                f"add --name {vault} --ip-address ADDRESS`, or reach it through its private endpoint"
            )
        case code:
            return ConfigurationError(
                f"vault {vault_url} refuses secret '{name}' ({status} {code or 'Forbidden'}): give the app's "
                f'identity the role {_ROLE} there: `az role assignment create --role "{_ROLE}" '
                "--assignee-object-id PRINCIPAL --assignee-principal-type ServicePrincipal --scope "
                f"$(az keyvault show --name {vault} --query id --output tsv)`; it takes some minutes to hold"
            )


def _inner_code(error: HttpResponseError) -> str | None:
    """The vault's own word for a refusal, inside of `Forbidden`."""
    inner = error.error.innererror if error.error else None
    code = inner.get("code") if isinstance(inner, dict) else None
    return code if isinstance(code, str) and code.isalnum() else None
