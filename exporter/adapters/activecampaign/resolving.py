"""Names become addresses: public ones alone, whatever a name server says.

An allowed host name may be made to point into the network that the app runs in, at a metadata service for one
(owasp.org, API7:2023 Server Side Request Forgery). Loopback addresses of a sandbox are literal and resolve
nothing, so they do not come here.
"""

import socket
from ipaddress import ip_address

from aiohttp.abc import ResolveResult
from aiohttp.resolver import ThreadedResolver


class PublicResolver(ThreadedResolver):
    """The system's resolver without addresses that are private, local or reserved."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The public addresses of a host. Raises OSError, as for an unknown name, when it has none."""
        found = await super().resolve(host, port, family)
        public = [entry for entry in found if _is_public(entry["host"])]
        if not public:
            raise OSError(f"{host} leads to no public address")
        return public


def _is_public(address: str) -> bool:
    found = ip_address(address)
    return found.is_global and not found.is_multicast
