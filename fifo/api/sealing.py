"""Opaque tokens for callers to hand back: pages of lists, places in watches.

A token is sealed with a key of the store, so that every control node can open it after any
restart, and nobody can make one. It carries a place and never a right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import TYPE_CHECKING, Any, Final

import msgspec

from fifo.model import records
from fifo.model.errors import InvalidInput, Violation
from fifo.model.records import Record
from fifo.store.contract import Get, Put, RangeReply, Txn, absent

if TYPE_CHECKING:
    from fifo.store.contract import Store

KEY: Final = b"seal/1"
"""Where the key stands; it belongs to no resource."""
KEY_BYTES: Final = 32
_MAC_BYTES: Final = 16


class SealKey(Record, frozen=True, tag="seal_key/1"):
    """The key, in hexadecimal."""

    key: str


class Seals:
    """Seals and opens tokens of several kinds; values are JSON."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def seal(self, kind: str, *values: Any) -> str:
        """Make a token."""
        data = msgspec.json.encode(values)
        return base64.urlsafe_b64encode(self._mac(kind, data) + data).rstrip(b"=").decode()

    def open(self, kind: str, token: str, field: str) -> list[Any]:
        """Give the values of a token; raises InvalidInput for one that was not sealed here."""
        try:
            raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        mac, data = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(kind, data)):
            wanted = "a token that this fleet has given out, unchanged"
            raise InvalidInput(field, (Violation(field, wanted),))
        found: list[Any] = msgspec.json.decode(data)
        return found

    def _mac(self, kind: str, data: bytes) -> bytes:
        text = kind.encode() + b"\0" + data
        return hashlib.blake2b(text, key=self._key, digest_size=_MAC_BYTES).digest()


def digest(*parts: bytes) -> str:
    """Give a short hash of what a token is only good for: the request it belongs to."""
    found = hashlib.blake2b(digest_size=8)
    for part in parts:
        found.update(len(part).to_bytes(4, "big") + part)
    return found.hexdigest()


async def load(store: Store, fresh: bytes) -> Seals:
    """Read the fleet's key, or make `fresh` the key if there is none; at start-up."""
    put = Put(KEY, records.encode(SealKey(key=fresh.hex())))
    reply = await store.txn(Txn((absent(KEY),), (put,), (Get(KEY),)))
    if reply.succeeded:
        return Seals(fresh)
    (found,) = reply.responses
    assert isinstance(found, RangeReply)
    kept = records.decode(SealKey, found.kvs[0].value, KEY.decode())
    return Seals(bytes.fromhex(kept.key))
