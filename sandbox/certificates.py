"""A certificate for 127.0.0.1 that only this machine's own processes trust, for what insists on https."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Certificate:
    """The files of a certificate, and of the authority that nobody but `environment` makes anybody trust."""

    authority: Path
    certificate: Path
    key: Path

    @property
    def environment(self) -> dict[str, str]:
        """What makes a process trust the authority, and no other.

        The Azure SDK's transports keep to their libraries: aiohttp to OpenSSL, which reads SSL_CERT_FILE
        (docs.openssl.org/3.0/man3/SSL_CTX_load_verify_locations), requests to REQUESTS_CA_BUNDLE
        (requests.readthedocs.io/en/latest/user/advanced).
        """
        return {"SSL_CERT_FILE": str(self.authority), "REQUESTS_CA_BUNDLE": str(self.authority)}

    def for_server(self) -> ssl.SSLContext:
        """What a server needs to show the certificate."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


def make_certificate(folder: Path) -> Certificate:
    """Make an authority and a certificate for 127.0.0.1; their files lie in the folder."""
    import trustme  # as whoever starts a storage over http has no need of it

    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    made = Certificate(folder / "authority.pem", folder / "certificate.pem", folder / "key.pem")
    authority.cert_pem.write_to_path(str(made.authority))
    issued.cert_chain_pems[0].write_to_path(str(made.certificate))
    issued.private_key_pem.write_to_path(str(made.key))
    made.key.chmod(0o600)
    return made
