"""Strangers: what a host has and the store does not know, as after a restore; removed on request.

The addresses of a stranger are kept from others until it is removed. One operation at a time is
about a stranger: it has no spec that two at once would lose a write of, so there is a hold instead.
"""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Final

from fifo.model import keys, limits, names
from fifo.model.errors import AlreadyExists, NotFound, Unavailable, WrongState
from fifo.store.contract import Delete, Put, absent, unchanged
from fifo.workflows import debts, instances
from fifo.workflows.workflow import Outcome, Step, Workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.model.link import Command, Verb
    from fifo.model.network import AddressClaim
    from fifo.store.catalog import Catalog, Entry, View
    from fifo.workflows.workflow import Items, Run


def foreign(view: View, host: str) -> tuple[str, ...]:
    """List the strangers on a host by uid: what its session found that has no record by now."""
    status = view.host_statuses.record(host)
    found = status.foreign if status is not None else ()
    return tuple(uid for uid in found if view.specs.get(uid) is None)


def left_on_a_host(catalog: Catalog, uid: str) -> AlreadyExists | None:
    """Say which host has something by a new instance's uid; None if none has.

    A host that was asked to make it would take what is there for it, data and all.
    """
    name = names.instance_name(uid)
    if (owed := debts.owed(catalog, "instance", uid, name)) is not None:
        return owed
    if (own := host_of_stranger(catalog, uid)) is not None:
        return AlreadyExists(
            f"a foreign instance on host {own} has this uuid",
            name,
            f"fifo hypervisor adopt-foreign {own} {uid}, or remove-foreign; or another uuid",
        )
    return None


def host_of_stranger(catalog: Catalog, uid: str) -> str | None:
    """Give the id of the host that a stranger is on; None if it is on none."""
    found = (host for host in catalog.estranged if uid in foreign(catalog, host))
    host = next(found, None)
    return None if host is None else debts.host_id(catalog, host)


def refuse_unlisted(catalog: Catalog, host: str, uid: str) -> None:
    """Raise NotFound unless an instance is foreign on a host, WrongState for one that is known.

    Unavailable while the host is not heard of: what is on it is not known then.
    """
    known = catalog.specs.record(uid)
    if known is not None:
        name = names.instance_name(known.id, known.org)
        raise WrongState(
            "it is not foreign, the store has it", name, f"fifo instance delete {known.id}"
        )
    if uid not in foreign(catalog, host):
        status = catalog.host_statuses.record(host)
        if status is None or status.condition != "ready":
            told = "what is foreign on the host is not known, it is not heard of"
            raise Unavailable(told, f"{names.HYPERVISORS}/{host}")
        raise NotFound(
            "the host has no foreign instance of this uid",
            names.instance_name(uid),
            "see foreign_instances: fifo -o json hypervisor get",
        )


def kept(catalog: Catalog, uid: str) -> Iterator[Entry[AddressClaim]]:
    """Yield the addresses, hardware's too, that are kept from others as a stranger has them."""
    taken = chain(catalog.addresses, catalog.macs)
    return (entry for entry in taken if entry.record.stranger == uid)


def host_of(run: Run) -> str:
    """Give the host that the request names, by uid."""
    return str(run.operation.input["host"])


def order(run: Run, step: str, verb: Verb, uid: str) -> tuple[str, Command]:
    """Make an order about a stranger, with the host that it goes to."""
    host = host_of(run)
    return host, instances.order_to(run, host, step, verb, uid)


_HELD: Final = "strangers"
"""The collection whose index has who holds a stranger: an operation, by the stranger's uid."""


def _hold_key(uid: str) -> bytes:
    return keys.index(_HELD, "", uid)


def is_held(catalog: Catalog, uid: str) -> bool:
    """Tell whether an operation about a stranger has not ended, of an instance with that uid.

    For the session that lists them: what is being adopted has a spec, which may be taken back.
    """
    return catalog.uid_of(_HELD, "", uid) is not None


async def hold(run: Run, items: Items) -> Outcome:
    """Take a stranger for this operation; raises NotFound, WrongState and Busy."""
    outcome = Outcome()
    for item in items:
        uid = run.uid(item)
        refuse_unlisted(run.catalog, host_of(run), uid)
        instances.refuse_rival(run, uid)
        key = _hold_key(uid)
        outcome.compares += [absent(key), absent(keys.by_uid(keys.INSTANCE_SPEC, uid))]
        outcome.writes.append(Put(key, run.operation.id.encode()))
        outcome.outputs[item] = True
    return outcome


async def let_go(run: Run, items: Items) -> Outcome:
    """Let others be about it again."""
    return Outcome(writes=[Delete(_hold_key(run.uid(item))) for item in items])


async def settle(run: Run, items: Items) -> Outcome:
    """Give the addresses back that are still kept for it, and let it go."""
    outcome = await let_go(run, items)
    for item in items:
        for entry in kept(run.catalog, run.uid(item)):
            outcome.compares.append(unchanged(entry.key, entry.revision))
            outcome.writes.append(Delete(entry.key))
    return outcome


async def _remove(run: Run, items: Items) -> Outcome:
    """Have the host remove all that there is of it; its session takes it off the list."""
    for item in items:
        if run.catalog.specs.get(run.uid(item)) is not None:
            # Somebody has created one of this uid meanwhile, and that is not ours to remove.
            refuse_unlisted(run.catalog, host_of(run), run.uid(item))
    return await instances.order_all(
        run, items, lambda item: order(run, "remove", "remove", run.uid(item))
    )


HOLD = Step("accept", hold, let_go)
REMOVE = Workflow(
    "remove_foreign_instance",
    (HOLD, Step("remove", _remove), Step("settle", settle)),
    limits.CREATE_DEADLINE_S,
)
