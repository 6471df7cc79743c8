"""Hardware addresses that somebody chose: each is one instance's, whatever wire it is on (vmadm).

What is made from an instance's uid is unique, and costs no key.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from fifo.fleet.refusals import holder
from fifo.model.errors import AlreadyExists, FifoError
from fifo.model.network import AddressClaim
from fifo.model.wires import own_macs

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from fifo.fleet.write_set import WriteSet
    from fifo.model.instance import InstanceSpec
    from fifo.store.catalog import Catalog


def take(
    writes: WriteSet, catalog: Catalog, spec: InstanceSpec, networks: Mapping[str, str], now: float
) -> int | FifoError:
    """Claim those of some interfaces, and give how many; AlreadyExists for one that another has.

    `networks` is by mac what an interface claims of; `now` is in UTC seconds. For the ledger.
    """
    taken = 0
    mark = writes.mark()
    for mac in own_macs(spec):
        if mac not in networks:
            continue
        held = writes.read(catalog.macs, mac)
        if held is not None and held.uid != spec.uid:
            writes.back_to(mark)
            who = holder(catalog, held)
            return AlreadyExists(f"{who} has this hardware address", mac, "choose another, or none")
        if held is None:
            claim = AddressClaim(
                network=networks[mac], address=mac, uid=spec.uid, mac=mac, since=now
            )
            writes.write(catalog.macs, mac, claim)
            taken += 1
    return taken


def give_back(writes: WriteSet, catalog: Catalog, uid: str, given: Iterable[str]) -> None:
    """Give back those of some that an instance has claimed."""
    for mac in given:
        held = writes.read(catalog.macs, mac)
        if held is not None and held.uid == uid:
            writes.write(catalog.macs, mac, None)
