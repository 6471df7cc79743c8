"""Hardware addresses that somebody chose: each is one instance's, whatever wire it is on (vmadm).

What is made from an instance's uid is unique, and costs no key.
"""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

import msgspec

from fifo.fleet.refusals import holder
from fifo.fleet.strangers import kept_for
from fifo.model.errors import AlreadyExists, FifoError
from fifo.model.network import AddressClaim

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fifo.fleet.write_set import WriteSet
    from fifo.store.catalog import Catalog


class Macs:
    """The hardware addresses of one transaction in the making; its ledger's."""

    def __init__(self, writes: WriteSet, catalog: Catalog, now: float) -> None:
        self._writes = writes
        self._catalog = catalog
        self._now = now

    def take(self, uid: str, networks: Mapping[str, str]) -> int | FifoError:
        """Claim the chosen ones of an instance, and give how many; AlreadyExists for another's.

        `networks` is by mac what its interface claims of.
        """
        taken = 0
        mark = self._writes.mark()
        for mac, network in networks.items():
            held = self._writes.read(self._catalog.macs, mac)
            who = _whose(held) if held is not None else self._made.get(mac, uid)
            if who != uid:
                self._writes.back_to(mark)
                told = f"{holder(self._catalog, who)} has this hardware address"
                return AlreadyExists(told, mac, "choose another, or none")
            if held is None or held.stranger:
                claim = AddressClaim(
                    network=network, address=mac, uid=uid, mac=mac, since=self._now
                )
                self._writes.write(self._catalog.macs, mac, claim)
                taken += 1
        return taken

    def holder(self, mac: str) -> str:
        """Give the uid of who has one, as it will be; '' if nobody has."""
        held = self._writes.read(self._catalog.macs, mac)
        return _whose(held) if held is not None else ""

    def keep(self, mac: str, network: str, uid: str) -> None:
        """Keep one for a stranger, chosen or made, if no other has it; `network` as in a claim."""
        if self._writes.read(self._catalog.macs, mac) is None:
            kept = msgspec.structs.replace(
                kept_for(uid, self._now), network=network, address=mac, mac=mac
            )
            self._writes.write(self._catalog.macs, mac, kept)

    def give_back(self, uid: str, given: Iterable[str]) -> None:
        """Give back those of some that an instance has claimed."""
        for mac in given:
            held = self._writes.read(self._catalog.macs, mac)
            if held is not None and held.uid == uid:
                self._writes.write(self._catalog.macs, mac, None)

    @cached_property
    def _made(self) -> dict[str, str]:
        """Who has which without a claim of it, made from a uid: once, and only if one is chosen."""
        catalog = self._catalog
        return {
            nic.mac: entry.record.uid
            for entry in catalog.specs
            if entry.record.uid in catalog.claims.entries
            for nic in entry.record.nics
            if nic.mac not in catalog.macs.entries
        }


def _whose(held: AddressClaim) -> str:
    return held.uid or held.stranger
