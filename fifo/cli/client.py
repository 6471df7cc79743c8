"""The connection of one command: a channel, the token, and calls that wait for operations."""

from __future__ import annotations

import datetime as dt
import json
import re
import sys
import time
import uuid
from typing import TYPE_CHECKING, Any, Final, Self

import grpc
from google.longrunning import operations_pb2, operations_pb2_grpc

from fifo.cli.exits import DENIED, LocalFileError, report_status
from fifo.cli.progress import Progress
from fifo.cli.text import size
from fifo.v1 import operation_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from fifo.cli.target import Target

WAIT_S: Final = 20.0
"""One wait for an operation; the server takes at most a minute."""
DRAWN_S: Final = 0.25
"""One wait where somebody looks at the progress bar."""
RECONNECT_MS: Final = 1_000
"""At most so long between two attempts to connect: a node that restarts is back in a second."""
PAUSE_S: Final = 0.25
"""Between two waits for an operation while its node restarts."""
_TOKEN: Final = re.compile(r"[!-~]{1,1024}")
"""What can stand in a header; anything else is another file."""
MESSAGE_BYTES: Final = 16 * 1024 * 1024
_RETRIES: Final = json.dumps(
    {
        "methodConfig": [
            {
                "name": [{}],
                "retryPolicy": {
                    "maxAttempts": 4,
                    "initialBackoff": "0.1s",
                    "maxBackoff": "2s",
                    "backoffMultiplier": 2,
                    "retryableStatusCodes": ["UNAVAILABLE"],
                },
            }
        ]
    }
)
"""Every mutation carries a request id, so that a repeat is harmless (AIP-155, AIP-194)."""


class Client:
    """One channel; a context manager."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.timeout_s = target.timeout_s
        address = target.address()
        options = [
            ("grpc.service_config", _RETRIES),
            ("grpc.max_receive_message_length", MESSAGE_BYTES),
            ("grpc.initial_reconnect_backoff_ms", 100),
            ("grpc.max_reconnect_backoff_ms", RECONNECT_MS),
        ]
        self.metadata: tuple[tuple[str, str | bytes], ...] = ()
        if address.startswith("unix:"):
            # gRPC would take the path for the name that the server is called by.
            options.append(("grpc.default_authority", "localhost"))
            self.channel = grpc.insecure_channel(address, options)
        else:
            roots = _roots(target, target.ca_file) if target.ca_file else None
            credentials = grpc.ssl_channel_credentials(roots)
            self.channel = grpc.secure_channel(address, credentials, options)
        if target.token_file:
            token = target.read(target.token_file).decode("ascii", "replace").strip()
            if not _TOKEN.fullmatch(token):
                told = "name admin.token of the node's data directory, or a copy of it"
                raise LocalFileError("it holds no token", target.token_file, told, DENIED)
            self.metadata = (("authorization", f"Bearer {token}"),)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    def call(self, method: Callable[..., Any], request: Any) -> Any:
        """Make one call, with the deadline and the token."""
        return method(request, timeout=self.timeout_s, metadata=self.metadata)

    def stream(self, method: Callable[..., Any], request: Any) -> Iterator[Any]:
        """Begin a call that streams, without a deadline."""
        answers: Iterator[Any] = method(request, metadata=self.metadata)
        return answers

    @staticmethod
    def request_id() -> str:
        """Make the id that tells a repeat of a request from another one."""
        return str(uuid.uuid4())

    def pages(self, method: Callable[..., Any], request: Any, field: str, most: int) -> list[Any]:
        """Read a list, page by page, up to `most` entries (0: all)."""
        found: list[Any] = []
        while True:
            reply = self.call(method, request)
            found += getattr(reply, field)
            if not reply.next_page_token or (most and len(found) >= most):
                return found[:most] if most else found
            request.page_token = reply.next_page_token

    # -- operations --------------------------------------------------------------------------

    def finish(self, operation: Any, *, wait: bool, quiet: bool) -> tuple[int, Any]:
        """Wait for an operation with a progress bar; gives an exit status and the operation."""
        if not wait or operation.done:
            return (report_status(operation.error) if operation.HasField("error") else 0), operation
        with Progress(quiet=quiet) as progress:
            try:
                for seen in self._states(operation, DRAWN_S if progress.drawn else WAIT_S):
                    operation = seen
                    metadata = metadata_of(operation)
                    progress.show(metadata.verb, _stage(metadata), metadata.progress_percent)
            except KeyboardInterrupt:
                own = operation.name.rpartition("/")[2]
                print(f"\nfifo: it goes on; see `fifo operation wait {own}`", file=sys.stderr)
                raise
        if operation.HasField("error"):
            return report_status(operation.error), operation
        return 0, operation

    def _states(self, operation: Any, each_s: float) -> Iterator[Any]:
        """Give an operation each time it was waited for, the ended one last.

        A node that goes may come back: its operations do. Raises its error after `timeout_s`.
        """
        stub = operations_pb2_grpc.OperationsStub(self.channel)  # type: ignore[no-untyped-call]
        heard = time.monotonic()
        while not operation.done:
            request = operations_pb2.WaitOperationRequest(name=operation.name)
            request.timeout.FromTimedelta(dt.timedelta(seconds=each_s))
            try:
                operation = stub.WaitOperation(
                    request, timeout=each_s + self.timeout_s, metadata=self.metadata
                )
            except grpc.RpcError as error:
                gone = error.code() == grpc.StatusCode.UNAVAILABLE
                if not gone or time.monotonic() - heard > self.timeout_s:
                    raise
                time.sleep(PAUSE_S)
                continue
            heard = time.monotonic()
            yield operation


def _stage(metadata: operation_pb2.OperationMetadata) -> str:
    """Say what is being done, and how many bytes of it where there are some."""
    if not metadata.total_bytes:
        return metadata.stage
    return f"{metadata.stage} {size(metadata.transferred_bytes)} of {size(metadata.total_bytes)}"


def metadata_of(operation: Any) -> operation_pb2.OperationMetadata:
    """Read an operation's metadata."""
    metadata = operation_pb2.OperationMetadata()
    operation.metadata.Unpack(metadata)
    return metadata


def _roots(target: Target, file: str) -> bytes:
    """Read the certificates to trust; raises LocalFileError for a file with a private key too."""
    roots = target.read(file)
    if b"PRIVATE KEY" in roots:
        raise LocalFileError(
            "it holds a private key, which never leaves the node",
            file,
            "take ca.crt, which lies beside it: the certificate alone",
            DENIED,
        )
    return roots
