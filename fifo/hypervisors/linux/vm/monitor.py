"""Talking with a running QEMU: QMP over its socket, one connection that comes back by itself.

QEMU outlives the node and speaks with one client at a time: whoever connects next has it to
himself. A connection is made when something is asked and kept; when it breaks, the next question
makes another.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from qemu.qmp import ConnectError, ExecuteError, QMPClient, QMPError

from fifo.hypervisors.linux.vm import limits
from fifo.model.errors import DeadlineExceeded, DriverFailed, Unavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

# It logs every connection that breaks, which is how each QEMU ends: who asked is told by an error.
logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)


class Monitor:
    """The QMP of one VM. Used on the node's loop; any number of questions may be under way."""

    def __init__(self, uid: str, path: Path, on_reset: Callable[[], None] = lambda: None) -> None:
        """Take a VM's socket; `on_reset` is told, while connected, that the guest reset itself."""
        self._uid = uid
        self._path = path
        self._on_reset = on_reset
        self._client: QMPClient | None = None
        self._connecting = asyncio.Lock()

    async def ask(
        self, command: str, *, timeout_s: float = limits.ANSWER_S, **arguments: Any
    ) -> Any:
        """Give the answer to a command; a `_` in an argument's name stands for a dash.

        Raises DriverFailed with QEMU's own words if it refuses; Unavailable if it is not there or
        goes away meanwhile, DeadlineExceeded if it does not answer: nobody knows then whether it
        was done.
        """
        named = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            async with asyncio.timeout(timeout_s):
                client = await self._connected()
                return await client.execute(command, named or None)
        except ExecuteError as error:
            raise DriverFailed(
                f"QEMU refuses {command}: {error}", self._uid, "see QEMU's words"
            ) from None
        except QMPError as error:
            await self.close()
            raise Unavailable(
                f"QEMU went away during {command} ({error})", self._uid, "see whether it runs"
            ) from None
        except TimeoutError:
            await self.close()
            raise DeadlineExceeded(
                f"QEMU did not answer {command} within {timeout_s:g} s", self._uid,
                "see what it waits for: most likely a disk; stop the VM by force",
            ) from None  # fmt: skip

    async def _connected(self) -> QMPClient:
        async with self._connecting:
            if self._client is not None and self._client.runstate.name != "RUNNING":
                await self._drop()
            if self._client is None:
                client = QMPClient(self._uid)
                client.events.event_filter = self._hear
                await client.connect(str(self._path))
                self._client = client
            return self._client

    def _hear(self, event: Mapping[str, Any]) -> bool:
        """Hear of an event as it comes: kept ones would pile up, since nobody takes them."""
        if event["event"] == "RESET" and event["data"].get("guest"):
            self._on_reset()
        return False

    async def connect(self) -> bool:
        """Connect once; False if nobody listens yet. Raises DeadlineExceeded."""
        try:
            await self.ask("query-status")
        except Unavailable as error:
            if isinstance(error.__context__, ConnectError):
                return False
            raise
        return True

    async def close(self) -> None:
        """Let QEMU go; nothing if there is no connection."""
        async with self._connecting:
            await self._drop()

    async def _drop(self) -> None:
        client, self._client = self._client, None
        if client is None:
            return
        try:
            async with asyncio.timeout(limits.ANSWER_S):
                await client.disconnect()
        except (EOFError, OSError, QMPError, TimeoutError):
            # How the connection ended is told here once more; who asked has heard of it.
            return
