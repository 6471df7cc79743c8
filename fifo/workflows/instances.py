"""Steps that several workflows of instances share: order a host, wait for what it reports."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from fifo.model import keys, names, records
from fifo.model.errors import (
    Busy,
    Cancelled,
    DeadlineExceeded,
    DriverFailed,
    FifoError,
    NotFound,
)
from fifo.model.link import Command
from fifo.store.contract import Delete, DeleteRange, Put, absent, unchanged
from fifo.workflows.failures import error_of
from fifo.workflows.workflow import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.model.image import Image
    from fifo.model.instance import Claim, InstanceSpec, InstanceStatus
    from fifo.model.link import CommandResult, Verb
    from fifo.model.network import Network
    from fifo.model.operation import Operation
    from fifo.store.catalog import Catalog, Entry, Waiting
    from fifo.workflows.workflow import Items, Run
    from fifo.workflows.world import Write


def spec_entry(run: Run, uid: str) -> Entry[InstanceSpec]:
    """Find the spec that an operation is about; raises NotFound."""
    entry = run.catalog.specs.get(uid)
    if entry is None:
        raise NotFound("it does not exist", run.operation.target)
    return entry


def write_spec(entry: Entry[InstanceSpec], spec: InstanceSpec) -> Outcome:
    """Replace a spec if nobody else has meanwhile."""
    return Outcome(
        compares=[unchanged(entry.key, entry.revision)],
        writes=[Put(entry.key, records.encode(spec))],
    )


def refuse_rival(run: Run, uid: str) -> None:
    """Refuse what would cross another operation on the same instance (AIP-151); raises Busy.

    Whoever passes writes the instance's spec, if only anew: of two at once one loses that.
    """
    for rival in rivals(run, uid):
        raise busy(run, rival)


def busy(run: Run, rival: str) -> Busy:
    """Say which other operation is in the way, by its id."""
    return Busy(
        "another operation holds it",
        run.operation.target,
        f"wait for operations/{rival}, or cancel it",
        details={"operation": f"operations/{rival}"},
    )


def rivals(run: Run, uid: str) -> tuple[str, ...]:
    """Give the ids of other operations on an instance that have not ended."""
    return tuple(own for own in run.catalog.busy.get(uid, ()) if own != run.operation.id)


def networks_of(catalog: Catalog, claim: Claim | None) -> tuple[Network, ...]:
    """Give the networks that a claim's addresses are from; also what settling brings with it."""
    uids = dict.fromkeys(claim.networks.values()) if claim is not None else {}
    found = (catalog.networks.record(uid) for uid in uids)
    return tuple(network for network in found if network is not None)


def image_of(catalog: Catalog, spec: InstanceSpec) -> Image | None:
    """Give the image that an instance is made from: a zone's own, or its boot disk's.

    Whoever brings a spec to a host brings it along, workflows and settling: it is what the host
    fetches, and what its agent counts the instance as a user of.
    """
    boot = next((disk.image for disk in spec.disks if disk.boot), "")
    return catalog.images.record(spec.image or boot)


def last_start_of(catalog: Catalog, claim: Claim | None) -> int:
    """Give the latest start that a claim's host has told of its instance; 0 for none.

    Whoever brings a spec to a host brings it along, workflows and settling: an agent that knows
    nothing of the instance, as after a restore, then does not take it for one to be made.
    """
    status = catalog.statuses.record(claim.uid) if claim is not None else None
    if claim is None or status is None or status.host != claim.host or status.state == "deleted":
        return 0
    return status.start_id


def command(run: Run, step: str, verb: Verb, uid: str, **more: Any) -> tuple[str, Command]:
    """Make an order about an instance, with the host that it goes to."""
    claim = run.catalog.claims.record(uid)
    host = claim.host if claim is not None else ""
    return host, order_to(run, host, step, verb, uid, claim=claim, **more)


def order_to(run: Run, host: str, step: str, verb: Verb, uid: str, **more: Any) -> Command:
    """Make an order of this operation's for a host, about whatever `uid` is of."""
    return Command(
        fence=run.hosts.owners_fence(host),
        operation=run.operation.id,
        step=step,
        verb=verb,
        uid=uid,
        until=run.until(),
        **more,
    )


async def order_all(run: Run, items: Items, order: Callable[[int], tuple[str, Command]]) -> Outcome:
    """Send each item's order at once and wait for all answers; a failed one fails its item.

    An item without a host has nothing there to be done.
    """
    outcome = Outcome()
    asked = []
    for item in items:
        host, made = order(item)
        if host:
            asked.append((item, run.hosts.command(host, made)))
    for item, answer in asked:
        try:
            result: CommandResult = await run.wait(answer)
        except FifoError as error:
            outcome.failed[item] = error
            continue
        if result.failure is not None:
            outcome.failed[item] = error_of(result.failure)
        else:
            outcome.outputs[item] = result.value
    return outcome


def stored_spec(run: Run, item: int) -> InstanceSpec:
    """Give the spec of an item as it is stored."""
    return spec_entry(run, run.uid(item)).record


async def realise(
    run: Run,
    items: Items,
    step: str = "realise",
    spec_of: Callable[[int], InstanceSpec] | None = None,
    *,
    fresh: bool = False,
) -> Outcome:
    """Hand each instance's spec to its host: the stored one, or what `spec_of` says.

    `fresh` says that it is being created. Starts that were told of one are then those of another
    by the same uid, which was deleted and was reported of late: it has nothing to lose.
    """

    def order(item: int) -> tuple[str, Command]:
        uid = run.uid(item)
        spec = stored_spec(run, item) if spec_of is None else spec_of(item)
        claim = run.catalog.claims.record(uid)
        return command(
            run, step, "realise", uid,
            spec=spec,
            networks=networks_of(run.catalog, claim),
            image=image_of(run.catalog, spec),
            started=0 if fresh else last_start_of(run.catalog, claim),
        )  # fmt: skip

    return await order_all(run, items, order)


async def remove(run: Run, items: Items, step: str = "remove") -> Outcome:
    """Have each instance's host remove all that there is of it."""
    return await order_all(run, items, lambda item: command(run, step, "remove", run.uid(item)))


async def reached(run: Run, items: Items, remedy: str = "see its events and logs") -> Outcome:
    """Wait until each instance is what its spec wants, or has failed for good.

    `remedy` is for one that failed by itself, so that its host has no error to tell.
    """
    outcome = Outcome()
    waiting = []
    for item in items:
        spec = spec_entry(run, run.uid(item)).record

        def settled(entry: Entry[InstanceStatus] | None, spec: InstanceSpec = spec) -> bool:
            return entry is not None and _is_settled(entry.record, spec)

        waiting.append((item, run.catalog.when(run.catalog.statuses, spec.uid, settled)))
    try:
        for item, awaited in waiting:
            await _reach(run, item, awaited, outcome, remedy)
    finally:
        # A runner that is ended here leaves those whose turn has not come.
        for _, awaited in waiting:
            awaited.cancel()
    return outcome


async def _reach(
    run: Run, item: int, awaited: Waiting[InstanceStatus], outcome: Outcome, remedy: str
) -> None:
    try:
        entry = await run.wait(awaited)
    except (Cancelled, DeadlineExceeded) as error:
        outcome.failed[item] = error
        return
    assert entry is not None, "the wait was for one"
    status = entry.record
    if status.state == "failed":
        outcome.failed[item] = _why_failed(run, status, remedy)
    outcome.outputs[item] = {"state": status.state, "start_id": status.start_id}


def _why_failed(run: Run, status: InstanceStatus, remedy: str) -> FifoError:
    """Give the host's error as what it is, else say what the status tells."""
    if status.failure is not None:
        return error_of(msgspec.structs.replace(status.failure, subject=run.operation.target))
    return DriverFailed(status.reason or "it failed", run.operation.target, remedy)


def _is_settled(status: InstanceStatus, spec: InstanceSpec) -> bool:
    if status.generation < spec.generation:
        return False
    if status.state == "failed":
        return True
    if status.boot_generation < spec.boot_generation and spec.wanted == "running":
        return False
    return status.state == spec.wanted or (
        # A guest that ends by itself has been started, and may stay down by its policy.
        spec.wanted == "running" and status.state == "stopped" and status.exit is not None
    )


def index_writes(spec: InstanceSpec, *, delete: bool) -> Outcome:
    """Take or give back the id that an instance's creator chose; none if it is made from the uid.

    A taken id fails the transaction.
    """
    key = keys.index("instances", spec.org, spec.id)
    if spec.id == f"i-{spec.uid}":
        return Outcome()
    if delete:
        return Outcome(writes=[Delete(key)])
    return Outcome(compares=[absent(key)], writes=[Put(key, spec.uid.encode())])


def forget(catalog: Catalog, uid: str) -> list[Write]:
    """Give what takes an instance out of the store: spec, status, id and story; not its claim.

    Four writes at most. For whoever has seen to it that nothing of it is on a host, or that its
    host owes the removal: a delete, the undo of a create, and settling.
    """
    gone: list[Write] = [
        Delete(keys.by_uid(keys.INSTANCE_SPEC, uid)),
        Delete(keys.by_uid(keys.INSTANCE_STATUS, uid)),
        DeleteRange(keys.stories(uid), keys.end_of(keys.stories(uid))),
    ]
    spec = catalog.specs.record(uid)
    if spec is not None and catalog.uid_of(names.INSTANCES, spec.org, spec.id) == uid:
        gone += index_writes(spec, delete=True).writes
    return gone


def cancel(entry: Entry[Operation]) -> Outcome:
    """Ask an operation to give up, if it is still as it is known."""
    asked = msgspec.structs.replace(entry.record, cancel_requested=True)
    if entry.record.cancel_requested or entry.record.final:
        return Outcome()
    return Outcome(
        compares=[unchanged(entry.key, entry.revision)],
        writes=[Put(entry.key, records.encode(asked))],
    )
