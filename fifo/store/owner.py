"""StoreOwner: gives a store its place in a supervision tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fifo.model.errors import FifoError, StoreTaken
from fifo.store import limits
from supervisors import signals
from supervisors.owner import Owner

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.store.embedded import EmbeddedStore
    from supervisors import Future, Node

STORE: Final = "store"
"""The call that a StoreOwner answers with its store."""


class StoreOwner(Owner):
    """Opens a store in init, closes it when it ends, and ends when the store stops by itself.

        ChildSpec("store", (StoreOwner, (lambda node: open_store(node, path),)), name="store")

    Whoever needs the store asks for it in their own init, `await self.node.address("store").call(
    STORE)`, and stands behind it under `rest_for_one`, so that a store that was opened again has
    fresh users. An orderly end waits until the files are closed; a killed owner's store is closed
    all the same, and the next one waits for that as long as `limits.TAKEN_S`.
    """

    async def init(self, open_it: Callable[[Node], Future[EmbeddedStore]]) -> None:
        """Open the store; a store that cannot be opened is a failed start."""
        self.trap_exit = True
        self._store = await self._open(open_it)
        self.own(self._store)

    async def _open(self, open_it: Callable[[Node], Future[EmbeddedStore]]) -> EmbeddedStore:
        patience_s = limits.TAKEN_S
        while True:
            opening = open_it(self.node)
            signals.watch(self, _Tie(opening))
            try:
                return await opening
            except StoreTaken:
                if patience_s <= 0:
                    raise
            await self.sleep(limits.TAKEN_RETRY_S)
            patience_s -= limits.TAKEN_RETRY_S

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Answer STORE too."""
        if message == STORE:
            return self._store
        return super().handle_call(message, caller)


class _Tie:
    """Closes a store when its owner has ended, however that came, and even if it opens later."""

    __slots__ = ("_opening",)

    def __init__(self, opening: Future[EmbeddedStore]) -> None:
        self._opening = opening

    def fire(self, process: Any, reason: Any) -> None:
        """Close the store; called on the shard's thread."""
        del process, reason
        self._opening.add_done_callback(_close)


def _close(opening: Future[EmbeddedStore]) -> None:
    try:
        store = opening.result()
    except FifoError:
        return  # It was never opened, and whoever waited for it knows.
    store.close()
