"""Create: one instance or a batch, from the wish to the running zone or VM."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from fifo.model import keys, limits, names, records
from fifo.model.errors import AlreadyExists, DataLoss, FifoError
from fifo.model.instance import InstanceSpec
from fifo.store.contract import Compare, Delete, Put, absent, unchanged
from fifo.workflows import debts, instances, strangers
from fifo.workflows.unmet import while_unmet
from fifo.workflows.workflow import Outcome, Step, Workflow
from fifo.workflows.world import NO_HOST

if TYPE_CHECKING:
    from fifo.store.catalog import Catalog
    from fifo.workflows.workflow import Items, Run


def refusal(catalog: Catalog, spec: InstanceSpec) -> FifoError | None:
    """Say why a new instance cannot have its name and uid; None if it can, as things are.

    For who is asked for one: the commit looks again.
    """
    left = strangers.left_on_a_host(catalog, spec.uid)
    return left if left is not None else _taken(catalog, spec)


def _taken(catalog: Catalog, spec: InstanceSpec) -> AlreadyExists | None:
    named = catalog.uid_of(names.INSTANCES, spec.org, spec.id)
    if named is None and catalog.specs.get(spec.uid) is None:
        return None
    name = names.instance_name(spec.id, spec.org)
    return AlreadyExists("an instance has this name or uuid already", name, "choose another")


def wanted(run: Run, item: int) -> InstanceSpec:
    """Give the spec that the caller asked for: of the request, or as it is stored by now."""
    stored = run.catalog.specs.record(run.uid(item))
    return stored if stored is not None else msgspec.convert(run.operation.input, InstanceSpec)


async def _write_one(run: Run, items: Items) -> Outcome:
    """Write the spec of a single create, with the operation itself."""
    (item,) = items
    spec = msgspec.convert(run.operation.input, InstanceSpec)
    return _write_new(run, {item: spec})


async def _write_chunk(run: Run, items: Items) -> Outcome:
    """Write the specs of a chunk, which the request left beside its operation."""
    key = _left(run)
    found = (await run.store.get(key)).kvs
    if not found:
        raise DataLoss("the request's instances are gone", run.operation.target, "ask again")
    specs = msgspec.json.decode(found[0].value, type=list[InstanceSpec])
    first = run.operation.chunk
    outcome = _write_new(run, {item: specs[item - first] for item in items})
    outcome.writes.append(Delete(key))
    return outcome


def _left(run: Run) -> bytes:
    """Give the key of what the request left of this chunk.

    An operation that an earlier version accepted does not say what that is called by: it is its id.
    """
    operation = run.operation
    return keys.operation_input(operation.input or operation.id, operation.chunk)


def _write_new(run: Run, specs: dict[int, InstanceSpec]) -> Outcome:
    """Write new specs; an item whose uid something on a host has fails."""
    left = {
        item: error
        for item, spec in specs.items()
        if (error := strangers.left_on_a_host(run.catalog, spec.uid)) is not None
    }
    outcome = write(run, {item: spec for item, spec in specs.items() if item not in left})
    outcome.failed |= left
    return outcome


def write(run: Run, specs: dict[int, InstanceSpec]) -> Outcome:
    """Write new specs with the ids of their own; an item whose name or uid is taken fails."""
    outcome = Outcome()
    # By their keys: many of a batch are made from the same images.
    uses: dict[bytes, Compare] = {}
    for item, spec in specs.items():
        taken = _taken(run.catalog, spec)
        if taken is not None and not _is_own(run.catalog, spec):
            outcome.failed[item] = taken
            continue
        key = keys.by_uid(keys.INSTANCE_SPEC, spec.uid)
        index = instances.index_writes(spec, delete=False)
        outcome.compares += [absent(key), *index.compares]
        uses |= _uses(run, spec)
        outcome.writes += [Put(key, records.encode(spec)), *index.writes]
        outcome.outputs[item] = True
    outcome.compares += uses.values()
    return outcome


def _uses(run: Run, spec: InstanceSpec) -> dict[bytes, Compare]:
    """Compare that the images it is made from are still as they are known: ready, not going."""
    found = (run.catalog.images.get(uid) for uid in sorted(spec.images))
    return {entry.key: unchanged(entry.key, entry.revision) for entry in found if entry is not None}


def _is_own(catalog: Catalog, spec: InstanceSpec) -> bool:
    """Tell whether what has the name and uid was written before a crash, for this very item."""
    named = catalog.uid_of(names.INSTANCES, spec.org, spec.id)
    return named == spec.uid or (named is None and catalog.specs.record(spec.uid) == spec)


async def _unwrite_chunk(run: Run, items: Items) -> Outcome:
    """Take the specs back, and what the request left, where it was not taken over."""
    outcome = await _unwrite(run, items)
    outcome.writes.append(Delete(_left(run)))
    return outcome


async def _unwrite(run: Run, items: Items) -> Outcome:
    return unwrite(run, items, "accept")


def unwrite(run: Run, items: Items, step: str) -> Outcome:
    """Take back the specs that a step wrote, and all that hangs on them but the claims."""
    outcome = Outcome()
    for item in items:
        if run.catalog.specs.get(run.uid(item)) is None or run.output(step, item) is None:
            continue
        outcome.writes += instances.forget(run.catalog, run.uid(item))
    return outcome


async def _place(run: Run, items: Items) -> Outcome:
    """Have a host and addresses chosen and claimed."""
    specs = tuple(wanted(run, item) for item in items)
    brands = {spec.uid: spec.brand for spec in specs}
    placed = await run.wait(run.placement.place(specs, run.operation.id))
    outcome = Outcome()
    for item in items:
        claim, outcome.explanation, error = placed[run.uid(item)]
        if error is not None:
            if error.reason_text == NO_HOST:
                error = while_unmet(run, error, {brands[run.uid(item)]})
            outcome.failed[item] = error
        else:
            outcome.outputs[item] = claim.host
    return outcome


async def _unplace(run: Run, items: Items) -> Outcome:
    """Give the claims back."""
    await run.wait(run.placement.release(tuple(run.uid(item) for item in items)))
    return Outcome()


async def _realise(run: Run, items: Items) -> Outcome:
    """Hand the specs to the hosts, as those of instances that were never started."""
    return await instances.realise(run, items, fresh=True)


async def _unrealise(run: Run, items: Items) -> Outcome:
    return await instances.remove(run, items, "undo")


async def _reached(run: Run, items: Items) -> Outcome:
    return await instances.reached(run, items, _GONE)


_GONE: Final = (
    "this operation tells why; its events and logs went with it: to have them, create it stopped,"
    " then start it"
)
"""What to do about an instance that failed, and is taken back with all that could be looked at."""
_LATER = (
    Step("place", _place, _unplace, held=True, repeated=True),
    Step("realise", _realise, _unrealise, repeated=True, owes=debts.of_instance),
    Step("start", _reached),
)
CREATE = Workflow(
    "create_instance", (Step("accept", _write_one, _unwrite), *_LATER), limits.CREATE_DEADLINE_S
)
CREATE_BATCH = Workflow(
    "create_instances",
    (Step("accept", _write_chunk, _unwrite_chunk), *_LATER),
    4 * limits.CREATE_DEADLINE_S,
    accepts_first=False,
)
