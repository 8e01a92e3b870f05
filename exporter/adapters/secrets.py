"""API keys: from Key Vault at run time, or from the local settings; kept at hand for minutes."""

from collections.abc import Mapping
from typing import Final

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from azure.keyvault.secrets.aio import SecretClient

from exporter.errors import ConfigurationError
from exporter.settings import SecretText, secret_setting
from exporter.steps.ports import Clock

FRESH_SECONDS: Final = 300.0
_UNRESOLVED: Final = "@Microsoft.KeyVault("


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

        Raises ConfigurationError that says what to do; the secret itself is in no message.
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
        except ResourceNotFoundError:
            raise ConfigurationError(
                f"secret '{name}' is not in vault {vault.vault_url}: add it there, or correct the "
                "connection's secret"
            ) from None
        except (ClientAuthenticationError, HttpResponseError) as error:
            status = getattr(error, "status_code", None)
            if status is not None and (status == 429 or status >= 500):
                raise ConfigurationError(
                    f"vault {vault.vault_url} does not serve secret '{name}' just now ({status}); "
                    "it is asked again"
                ) from None
            raise ConfigurationError(
                f"vault {vault.vault_url} refuses secret '{name}' ({status or type(error).__name__}): "
                "give the app's identity the role Key Vault Secrets User there"
            ) from None
        except AzureError as error:
            raise ConfigurationError(
                f"vault {vault.vault_url} can't be reached ({type(error).__name__}): check "
                "EXPORTER_VAULT_URL and the vault's firewall"
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
