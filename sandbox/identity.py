"""Stands in for the endpoint at which an app in Azure gets tokens for its managed identity.

The contract is App Service's, which Functions shares: version 2019-08-01 of
learn.microsoft.com/azure/app-service/overview-managed-identity ("REST endpoint reference"). Its tokens look
like those of Entra ID and are signed by nobody: they open nothing but stand-ins and Azurite, which reads what
a token says and does not check who has signed it.

    with StandInIdentity(client_ids=[ID], resources=[STORAGE]) as identity:
        run_the_app(**identity.environment)
"""

import base64
import hmac
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from sandbox.loopback import LoopbackServer

STORAGE = "https://storage.azure.com"
"""The resource that tokens for blobs and queues are for."""
TENANT = "11111111-2222-3333-4444-555555555555"
_VERSION = "2019-08-01"
_PATH = "/msi/token"
_DAY_SECONDS = 86_400.0
SKEW_SECONDS = 2.0
"""A token says that it ends so much later than whoever asked is told: a request under way is still served."""


@dataclass(frozen=True)
class GivenToken:
    """A token that was given out."""

    resource: str
    client_id: str
    given_at: float
    expires_at: float


class StandInIdentity(LoopbackServer):
    """The identity endpoint of one app: start it, give the app its `environment`, stop it; or `with`."""

    def __init__(self, *, client_ids: Sequence[str], resources: Sequence[str], port: int = 0) -> None:
        self.client_ids = list(client_ids)
        """The user-assigned identities that the app has."""
        self.resources = list(resources)
        """What tokens may be asked for."""
        self.token_seconds = _DAY_SECONDS
        """How long tokens hold that are given from now on."""
        self.failing_status: int | None = None
        """The status with which every request fails from now on."""
        self.audience: str | None = None
        """What tokens are for that are given from now on, instead of what was asked for."""
        self.given: list[GivenToken] = []
        self._header = secrets.token_hex(16)
        app = web.Application()
        app.router.add_get(_PATH, self._answer)
        super().__init__(app, port=port)

    @property
    def environment(self) -> dict[str, str]:
        """What the platform gives an app so that it finds the endpoint; known once started."""
        return {"IDENTITY_ENDPOINT": self.url + _PATH, "IDENTITY_HEADER": self._header}

    async def _answer(self, request: web.Request) -> web.Response:
        if self.failing_status is not None:
            return _refusal(self.failing_status, "the endpoint fails, as it was told to")
        if not hmac.compare_digest(request.headers.get("X-IDENTITY-HEADER", ""), self._header):
            return _refusal(401, "the header X-IDENTITY-HEADER is not the app's")
        if request.query.get("api-version") != _VERSION:
            return _refusal(400, f"the api-version is not {_VERSION}")
        resource, client_id = request.query.get("resource", ""), request.query.get("client_id", "")
        if client_id not in self.client_ids:
            return _refusal(400, "No User Assigned Managed Identity found for specified ClientId")
        if resource.rstrip("/") not in self.resources:
            return _refusal(400, f"nothing is known of the resource {resource}")
        return web.json_response(self._give(resource.rstrip("/"), client_id))

    def _give(self, resource: str, client_id: str) -> dict[str, str]:
        now = time.time()
        given = GivenToken(resource, client_id, now, now + self.token_seconds)
        self.given.append(given)
        return {
            "access_token": make_token(
                self.audience or resource, client_id, expires_at=given.expires_at + SKEW_SECONDS
            ),
            "expires_on": str(int(given.expires_at)),
            "resource": resource,
            "token_type": "Bearer",
            "client_id": client_id,
        }


def make_token(resource: str, client_id: str, *, expires_at: float) -> str:
    """A token with the claims that services look at, signed by nobody."""
    now = int(time.time())
    claims = {
        "aud": resource,
        "iss": f"https://sts.windows.net/{TENANT}/",
        "iat": now,
        "nbf": now,
        "exp": int(expires_at),
        "appid": client_id,
        "tid": TENANT,
    }
    return ".".join(_encoded(part) for part in ({"alg": "RS256", "typ": "JWT"}, claims, "nobody"))


def claims_of(token: str) -> dict[str, Any]:
    """What a token says. Raises ValueError where it is none."""
    parts = token.split(".")
    if len(parts) != 3:
        raise ValueError("a token has three parts")
    claims: dict[str, Any] = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    return claims


def _encoded(part: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode()


def _refusal(status: int, message: str) -> web.Response:
    return web.json_response({"statusCode": status, "message": message}, status=status)
