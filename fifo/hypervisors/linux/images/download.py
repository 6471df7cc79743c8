"""Downloading an image: bounded in size, stalls and redirects, and only from where it is allowed.

In a thread of its own, which spends its time waiting and in hashing without the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import hashlib
import http.client
import socket
import ssl
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from fifo.hypervisors.linux import limits
from fifo.hypervisors.linux.images import refusal, targets
from fifo.model.errors import Cancelled, DriverFailed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from fifo.hypervisors.linux.images.targets import Target

    Progress = Callable[[int, int], None]

OK: Final = 200
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


class Download:
    """One download. `progress` (bytes so far, of how many or 0) is called on the loop."""

    def __init__(self, url: str, most_bytes: int, progress: Progress, *, private: bool) -> None:
        self._url = url
        self._most_bytes = most_bytes
        self._progress = progress
        self._private = private
        self._given_up = False

    async def to(self, path: Path) -> str:
        """Write it to a new file and give the SHA-256; raises FifoError, OSError for the disk.

        Who cancels this need not wait: the thread ends by itself with its next bytes.
        """
        loop = asyncio.get_running_loop()

        def told(done: int, of: int) -> None:
            loop.call_soon_threadsafe(self._progress, done, of)

        try:
            return await asyncio.to_thread(self._fetch, path, told)
        finally:
            self._given_up = True

    def _fetch(self, path: Path, told: Progress) -> str:
        url, scheme, named = self._url, "", ""
        for _ in range(limits.REDIRECTS + 1):
            found = targets.target(url, after=scheme)
            named = named or found.host
            connection = self._connect(found, loopback=found.host == named)
            try:
                answer = self._ask(connection, found)
                if answer.status in REDIRECTS:
                    url, scheme = urljoin(url, answer.getheader("location", "")), found.scheme
                    continue
                if answer.status != OK:
                    raise self._failed(f"the server answers {answer.status} {answer.reason}")
                with path.open("xb") as file:
                    return self._receive(answer, file, told)
            except (
                http.client.HTTPException,
                ssl.SSLError,
                TimeoutError,
                ConnectionError,
            ) as error:
                raise self._failed(f"{type(error).__name__}: {error}") from None
            finally:
                connection.close()
        raise self._failed(f"more than {limits.REDIRECTS} redirects")

    def _connect(self, found: Target, *, loopback: bool) -> http.client.HTTPConnection:
        """Connect to an address that was checked, never to the name again."""
        addresses = targets.admitted(
            found.host, found.port, private=self._private, loopback=loopback
        )
        kind = (
            http.client.HTTPSConnection if found.scheme == "https" else http.client.HTTPConnection
        )
        trouble: OSError | None = None
        for address in addresses:
            connection = kind(found.host, found.port, timeout=limits.DOWNLOAD_STALL_S)
            try:
                line = socket.create_connection(
                    (address, found.port), timeout=limits.DOWNLOAD_STALL_S
                )
            except OSError as error:
                trouble = error
                continue
            connection.sock = line
            if found.scheme == "https":
                try:
                    connection.sock = ssl.create_default_context().wrap_socket(
                        line, server_hostname=found.host
                    )
                except OSError as error:
                    line.close()
                    raise self._failed(f"no trusted connection ({error})") from None
            return connection
        raise self._failed(f"no connection ({trouble})")

    @staticmethod
    def _ask(connection: http.client.HTTPConnection, found: Target) -> http.client.HTTPResponse:
        headers = {"User-Agent": "fifo", "Accept": "*/*", "Accept-Encoding": "identity"}
        connection.request("GET", found.path, headers=headers)
        return connection.getresponse()

    def _receive(self, answer: http.client.HTTPResponse, file: BinaryIO, told: Progress) -> str:
        length = answer.length or 0
        if length > self._most_bytes:
            raise refusal.too_large(self._most_bytes, self._url)
        digest, done = hashlib.sha256(), 0
        while data := answer.read1(limits.DOWNLOAD_CHUNK_BYTES):
            done += len(data)
            if done > self._most_bytes:
                raise refusal.too_large(self._most_bytes, self._url)
            if self._given_up:
                raise Cancelled("given up", self._url, "fetch it again")
            file.write(data)
            digest.update(data)
            told(done, length)
        if done < length:
            raise self._failed(f"it ended after {done} of {length} bytes")
        return digest.hexdigest()

    def _failed(self, what: str) -> DriverFailed:
        return DriverFailed(what, self._url, "see the address, and fetch it again")
