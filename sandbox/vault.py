"""Stands in for a Key Vault: the secrets of one vault, over https, for the real SecretClient.

It speaks the part of the REST API that reading and storing secrets takes
(learn.microsoft.com/rest/api/keyvault/secrets): the challenge before the first token, versions, disabled and
deleted secrets, and the refusals of learn.microsoft.com/azure/key-vault/general/rest-error-codes.

The SDK gives its token only to a vault whose address lies in the domain that the vault's own challenge names.
That check is as good as the vault's certificate, so no setting of the app turns it off: the stand-in, at
127.0.0.1:PORT, names https://0.0.1:PORT, and tokens for it have that audience.

    python -m sandbox.vault --secret activecampaign-acme=KEY      # one JSON line on stdout, until a signal
"""

import argparse
import asyncio
import json
import signal
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from aiohttp import web

from sandbox.certificates import Certificate, make_certificate
from sandbox.identity import TENANT, StandInIdentity, claims_of
from sandbox.loopback import LoopbackServer

_AUTHORITY = f"https://login.microsoftonline.com/{TENANT}"


@dataclass
class Version:
    """One version of a secret."""

    value: str
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    enabled: bool = True
    stored_at: int = field(default_factory=lambda: int(time.time()))


@dataclass(frozen=True)
class Refusal:
    """How the vault answers instead of doing what it is asked."""

    status: int
    code: str
    message: str
    inner: str | None = None

    @property
    def document(self) -> dict[str, Any]:
        """The body of the answer."""
        inner = {"innererror": {"code": self.inner}} if self.inner else {}
        return {"error": {"code": self.code, "message": self.message, **inner}}


NO_ROLE = Refusal(
    403, "Forbidden", "Caller is not authorized to perform action on resource.", "ForbiddenByRbac"
)
FIREWALL = Refusal(
    403,
    "Forbidden",
    "Client address is not authorized and caller is not a trusted service.",
    "ForbiddenByFirewall",
)
DISABLED = Refusal(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
THROTTLED = Refusal(429, "Throttled", "Request was not processed because too many requests were received.")
UNAVAILABLE = Refusal(503, "ServiceUnavailable", "The service is unavailable.")


class StandInVault(LoopbackServer):
    """One vault: start it, let clients find it at its `url`, stop it; or `with`. Secrets lie in memory."""

    def __init__(self, certificate: Certificate, *, port: int = 0) -> None:
        self.secrets: dict[str, list[Version]] = {}
        """By name, oldest version first."""
        self._deleted: dict[str, dict[str, Any]] = {}
        self.refusal: Refusal | None = None
        """How every request with a good token is answered from now on; None: as it should be."""
        self.refusal_after_reads: Refusal | None = None
        """What `refusal` becomes once a secret was read."""
        self.silent = False
        """Whether requests are taken and never answered."""
        self.reads: list[str] = []
        """The secrets that were given out, by name, in order."""
        self.challenge_resource: str | None = None
        """What the challenge names instead of the vault's own domain."""
        app = web.Application(middlewares=[self._guard])
        app.router.add_get("/secrets", self._list)
        app.router.add_put("/secrets/{name}", self._set)
        app.router.add_get("/secrets/{name}/versions", self._versions)
        app.router.add_get("/secrets/{name}/{version:[0-9a-f]*}", self._get)
        app.router.add_patch("/secrets/{name}/{version:[0-9a-f]*}", self._update)
        app.router.add_delete("/secrets/{name}", self._delete)
        app.router.add_get("/deletedsecrets/{name}", self._get_deleted)
        super().__init__(app, certificate=certificate, port=port)

    @property
    def audience(self) -> str:
        """The resource that tokens for this vault are for."""
        return f"https://0.0.1:{urlsplit(self.url).port}"

    def store(self, name: str, value: str) -> None:
        """Store a secret, as the newest version if there is one of its name."""
        self.secrets.setdefault(name, []).append(Version(value))

    # What requests meet before they are looked at

    @web.middleware
    async def _guard(self, request: web.Request, handler: Any) -> web.StreamResponse:
        if self.silent:
            await asyncio.get_running_loop().create_future()
        if not self._has_token(request):
            resource = self.challenge_resource or self.audience
            challenge = f'Bearer authorization="{_AUTHORITY}", resource="{resource}"'
            return _answer(
                Refusal(401, "Unauthorized", "no token for this vault"), {"WWW-Authenticate": challenge}
            )
        if self.refusal is not None:
            return _answer(self.refusal)
        response: web.StreamResponse = await handler(request)
        return response

    def _has_token(self, request: web.Request) -> bool:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        try:
            claims = claims_of(token)
        except ValueError:
            return False
        return (
            scheme == "Bearer" and claims.get("aud") == self.audience and claims.get("exp", 0) > time.time()
        )

    # Secrets

    async def _get(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        version = self._find(name, request.match_info["version"])
        if version is None:
            return _answer(_not_found(name))
        if not version.enabled:
            return _answer(DISABLED)
        self.reads.append(name)
        if self.refusal_after_reads is not None:
            self.refusal, self.refusal_after_reads = self.refusal_after_reads, None
        return web.json_response({"value": version.value, **self._described(name, version)})

    async def _set(self, request: web.Request) -> web.Response:
        name, document = request.match_info["name"], await request.json()
        self.store(name, str(document["value"]))
        version = self.secrets[name][-1]
        return web.json_response({"value": version.value, **self._described(name, version)})

    async def _update(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        version = self._find(name, request.match_info["version"])
        if version is None:
            return _answer(_not_found(name))
        version.enabled = bool((await request.json())["attributes"]["enabled"])
        return web.json_response(self._described(name, version))

    async def _delete(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        versions = self.secrets.pop(name, None)
        if versions is None:
            return _answer(_not_found(name))
        self._deleted[name] = {
            "recoveryId": f"{self.url}/deletedsecrets/{name}",
            "deletedDate": int(time.time()),
            **self._described(name, versions[-1]),
        }
        return web.json_response(self._deleted[name])

    async def _get_deleted(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        deleted = self._deleted.get(name)
        return _answer(_not_found(name)) if deleted is None else web.json_response(deleted)

    async def _list(self, request: web.Request) -> web.Response:
        listed = [self._described(name, versions[-1], whole=False) for name, versions in self.secrets.items()]
        return web.json_response({"value": listed, "nextLink": None})

    async def _versions(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        listed = [self._described(name, version) for version in self.secrets.get(name, [])]
        return web.json_response({"value": listed, "nextLink": None})

    def _find(self, name: str, version_id: str) -> Version | None:
        versions = self.secrets.get(name, [])
        return next((v for v in reversed(versions) if version_id in ("", v.id)), None)

    def _described(self, name: str, version: Version, *, whole: bool = True) -> dict[str, Any]:
        attributes = {"enabled": version.enabled, "created": version.stored_at, "updated": version.stored_at}
        path = f"{name}/{version.id}" if whole else name
        return {"id": f"{self.url}/secrets/{path}", "attributes": attributes}


def _not_found(name: str) -> Refusal:
    return Refusal(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")


def _answer(refusal: Refusal, headers: dict[str, str] | None = None) -> web.Response:
    return web.json_response(refusal.document, status=refusal.status, headers=headers)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a vault, and an identity that may read it, until SIGTERM or SIGINT.

    One JSON line on stdout holds the settings that let an exporter on this machine read its keys there.
    """
    parser = argparse.ArgumentParser(prog="python -m sandbox.vault", description=main.__doc__)
    parser.add_argument(
        "--secret", action="append", default=[], metavar="NAME=VALUE", help="a secret; may be repeated"
    )
    wanted = [secret.partition("=") for secret in parser.parse_args(arguments).secret]
    if not all(name and equals for name, equals, _ in wanted):
        parser.error("--secret: write NAME=VALUE")
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    with tempfile.TemporaryDirectory() as folder:
        certificate = make_certificate(Path(folder))
        with (
            StandInVault(certificate) as vault,
            StandInIdentity(client_ids=[""], resources=[vault.audience]) as identity,
        ):
            for name, _, value in wanted:
                vault.store(name, value)
            settings = {
                "EXPORTER_VAULT_URL": vault.url,
                "AZURE_TOKEN_CREDENTIALS": "ManagedIdentityCredential",
                **identity.environment,
                **certificate.environment,
            }
            print(json.dumps({"ready": True, "settings": settings}), flush=True)  # noqa: T201 - the contract
            ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
