"""The certificates of a node in its data directory: made at the first start, renewed in time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from fifo.model.errors import NotReady
from fifo.security import authority, limits, private_files
from fifo.security.authority import Issued

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""What every node's certificate is for, besides its host name."""
_CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"


class Certificates:
    """The CA and the server certificate of one node.

    Used on one thread. `load` before all else; `renew` whenever a certificate is handed out: it
    looks at the clock and seldom does more.
    """

    def __init__(self, directory: Path, hostname: str, utc: Callable[[], float]) -> None:
        self._directory = directory
        self._hostname = hostname
        self._utc = utc
        self.names: tuple[str, ...] = (*LOOPBACK, *([hostname] if hostname else []))
        self.authority = Issued(b"", b"")
        self.server = Issued(b"", b"")

    def load(self) -> None:
        """Read what is there and make what is not.

        Raises NotReady if others may read it, or if it is no key and certificate.
        """
        private_files.make_directory(self._directory)
        self.authority = self._kept("ca") or self._keep(
            "ca", authority.make_authority(self._hostname or "localhost", self._utc())
        )
        # A copy without the key, to be handed to clients.
        if private_files.read(self.ca_path) != self.authority.certificate:
            private_files.write(self.ca_path, self.authority.certificate)
        server = self._kept("server")
        if server is None or not self._holds(server):
            server = self._issue()
        self.server = server

    def renew(self) -> bool:
        """Make a new server certificate if two thirds of its life are over; True if it did."""
        if self._holds(self.server):
            return False
        self.server = self._issue()
        return True

    @property
    def chain(self) -> bytes:
        """What a server shows: its certificate, then its CA's."""
        return self.server.certificate + self.authority.certificate

    @property
    def expire_time(self) -> float:
        """UTC seconds until which the server certificate holds."""
        return authority.lifetime(self.server.certificate)[1]

    @property
    def ca_path(self) -> Path:
        """The file that clients are given to trust this node."""
        return self._directory / "ca.crt"

    @property
    def ca_sha256(self) -> str:
        """The fingerprint of the CA."""
        return authority.fingerprint(self.authority.certificate)

    # -- its parts ---------------------------------------------------------------------------

    def _holds(self, server: Issued) -> bool:
        begin, end = authority.lifetime(server.certificate)
        renew_at = begin + (end - begin) * limits.RENEW_PERCENT / 100
        return (
            begin <= self._utc() < renew_at
            and authority.names_of(server.certificate) >= set(self.names)
            and authority.signed_by(server.certificate, self.authority.certificate)
        )

    def _issue(self) -> Issued:
        return self._keep("server", authority.issue(self.authority, self.names, self._utc()))

    def _kept(self, name: str) -> Issued | None:
        path = self._directory / f"{name}.pem"
        data = private_files.read(path)
        if data is None:
            return None
        key, begin, certificate = data.partition(_CERTIFICATE)
        kept = Issued(key, begin + certificate)
        try:
            authority.lifetime(kept.certificate)
        except ValueError as error:
            raise NotReady(
                f"it holds no key and certificate: {error}",
                str(path),
                "restore it, or remove it to have a new one made",
            ) from error
        return kept

    def _keep(self, name: str, made: Issued) -> Issued:
        """Write key and certificate into one file, so that they always belong together."""
        private_files.write(self._directory / f"{name}.pem", made.key + made.certificate)
        return made
