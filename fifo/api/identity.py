"""Who calls: tokens of the store, or the node's own socket."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from fifo.model import keys, records
from fifo.model.errors import NoRoom, Unauthenticated
from fifo.security import limits, private_files, tokens
from fifo.security.principals import LOCAL_ADMIN, Principal, admin
from fifo.store.contract import DeleteRange, Put, Txn, WatchBatch
from fifo.store.pages import pages
from fifo.store.reserve import NO_ROOM, PIECE_BYTES, Reserve

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from fifo.store.contract import Delivery, KeyValue, Store, Watch

logger = logging.getLogger("fifo.api")

SCHEME: Final = "Bearer "
AUTHORIZATION: Final = "authorization"
LOCAL: Final = "unix:"
"""How gRPC names a peer that came by a socket in the file system."""
_START: Final = keys.TOKEN
_END: Final = keys.end_of(keys.TOKEN)
# Compared where no token has the id, so that a wrong id takes as long as a wrong secret.
_NONE: Final = tokens.Token(id="", digest="0" * 64, create_time=0.0)


class Identity:
    """The tokens that are good now; on the node's loop.

    `revoked` is called with the id of a token that is good no longer, at once when that is known.
    """

    def __init__(
        self,
        store: Store,
        token_file: Path,
        utc: Callable[[], float],
        randomness: Callable[[int], bytes],
    ) -> None:
        self.token_file = token_file
        self._reserve = Reserve(token_file.parent, PIECE_BYTES)
        self._store = store
        self._utc = utc
        self._randomness = randomness
        self.revoked: Callable[[str], None] = _nobody
        self._tokens: dict[str, tokens.Token] = {}
        self._principals: dict[str, Principal] = {}
        self._watch: Watch | None = None

    async def load(self) -> None:
        """Read the tokens, make the first one if there is none, and follow; at start-up."""
        await self._follow()
        await asyncio.get_running_loop().run_in_executor(None, self._reserve.make)
        if not self._tokens:
            await self.reset()

    def close(self) -> None:
        """Follow no more."""
        if self._watch is not None:
            self._watch.cancel()

    async def reset(self) -> tokens.Made:
        """Make a new admin token, forget all others, and keep its text in the token file.

        Raises NoRoom where even what is held back for it is used.
        """
        made = tokens.make(
            self._randomness(limits.TOKEN_ID_BYTES),
            self._randomness(limits.SECRET_BYTES),
            self._utc(),
        )
        loop = asyncio.get_running_loop()
        before = await loop.run_in_executor(None, private_files.read, self.token_file)
        text = made.text.encode() + b"\n"
        # The file first: a crash then leaves no token that nobody knows.
        await loop.run_in_executor(None, self._write, text)
        try:
            await self._replace(made.record)
        except BaseException:
            if before is not None:
                await loop.run_in_executor(None, self._write, before)
            raise
        logger.info("A new admin token %s is in %s", made.record.id, self.token_file)
        return made

    def _write(self, text: bytes) -> None:
        """Write the token file, with no room on the disk too: a lost token is worst then."""
        while True:
            try:
                private_files.write(self.token_file, text)
            except OSError as error:
                if error.errno not in NO_ROOM:
                    raise
                if not self._reserve.give_up():
                    raise NoRoom(
                        "there is no room for the token",
                        str(self.token_file),
                        "make room on the disk of the node's data directory",
                    ) from error
            else:
                break
        self._reserve.make()

    async def _replace(self, record: tokens.Token) -> None:
        """Store a token and delete all others, each in a txn of its own kind.

        One txn cannot delete a range and put into it; between the two both tokens are good.
        """
        key = keys.by_uid(keys.TOKEN, record.id)
        await self._store.txn(Txn(then=(Put(key, records.encode(record)),)))
        others = (DeleteRange(_START, key), DeleteRange(key + b"\0", _END))
        await self._store.txn(Txn(then=others))
        for token in [token for token in self._tokens if token != record.id]:
            self._forget(token)
        self._learn(record)

    # -- asking ------------------------------------------------------------------------------

    def of_call(
        self, metadata: Iterable[tuple[str, str | bytes]], peer: Callable[[], str]
    ) -> Principal:
        """Tell who calls; a token counts before the socket. Raises Unauthenticated."""
        for name, value in metadata:
            if name == AUTHORIZATION:
                return self.of_token(value if isinstance(value, str) else "")
        if peer().startswith(LOCAL):
            return LOCAL_ADMIN
        raise Unauthenticated(
            "no token was sent",
            "",
            f"send `authorization: Bearer <token>`; the admin's is in {self.token_file.name} of"
            " the node's data directory",
            reason="TOKEN_MISSING",
        )

    def of_token(self, header: str) -> Principal:
        """Give the principal of an authorization header; raises Unauthenticated."""
        text = header[len(SCHEME) :] if header.startswith(SCHEME) else ""
        found = tokens.id_of(text)
        record = self._tokens.get(found, _NONE) if found is not None else _NONE
        if not tokens.matches(text[: limits.TOKEN_CHARACTERS], record):
            raise Unauthenticated(
                "the token is not good",
                "",
                "use the present one, or reset it on the node: fifo admin token reset",
                reason="TOKEN_WRONG",
            )
        return self._principals[record.id]

    # -- following ---------------------------------------------------------------------------

    async def _follow(self) -> None:
        kept: set[str] = set()
        revision = 0
        async for page in pages(self._store, _START, _END):
            revision = page.revision
            for stored in page.kvs:
                kept.add(keys.uid_of(stored.key))
                self._take(stored)
        for token in self._tokens.keys() - kept:
            self._forget(token)
        self._watch = self._store.watch(_START, _END, revision + 1, self._deliver)

    def _deliver(self, batch: Delivery) -> None:
        if isinstance(batch, WatchBatch):
            for event in batch.events:
                if event.deleted:
                    self._forget(keys.uid_of(event.key))
                else:
                    self._take(event)
        elif batch.reason != "closed":
            logger.warning("The watch of tokens ended (%s): reading them anew", batch.reason)
            self._again = asyncio.get_running_loop().create_task(self._follow())

    def _take(self, stored: KeyValue) -> None:
        self._learn(records.decode(tokens.Token, stored.value, stored.key.decode()))

    def _learn(self, record: tokens.Token) -> None:
        self._tokens[record.id] = record
        self._principals[record.id] = admin(record.id)

    def _forget(self, token: str) -> None:
        if self._tokens.pop(token, None) is not None:
            del self._principals[token]
            self.revoked(token)


def _nobody(token: str) -> None:
    """Tell nobody of a token that is good no longer."""
    del token
