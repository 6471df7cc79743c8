"""Change: start, stop, reboot and update: a new generation of the spec, brought to its host."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model import limits
from fifo.model.errors import Cancelled, Conflict, DriverFailed
from fifo.model.instance import InstanceSpec
from fifo.model.operation import FINAL
from fifo.model.vmadm.changes import changed
from fifo.store.contract import unchanged
from fifo.workflows import instances
from fifo.workflows.workflow import Outcome, Step, Workflow

if TYPE_CHECKING:
    from fifo.model.instance import InstanceStatus
    from fifo.model.operation import Operation
    from fifo.store.catalog import Entry
    from fifo.workflows.workflow import Items, Run


class _Prior(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was wanted before a change, and the operation that it is beside, which it hurries."""

    spec: InstanceSpec
    hurried: str = ""


def _prior(operation: Operation) -> _Prior | None:
    """Give how it was before an operation; None if that has changed nothing."""
    for record in operation.steps:
        output = record.outputs.get("0") if record.name == "accept" else None
        if isinstance(output, dict):
            # An earlier version wrote the bare spec.
            return msgspec.convert(output if "spec" in output else {"spec": output}, _Prior)
    return None


async def _write(run: Run, items: Items) -> Outcome:
    """Write the next generation: the whole new spec is in the request, made from a known one."""
    (item,) = items
    entry = instances.spec_entry(run, run.uid(item))
    spec = msgspec.convert(run.operation.input, InstanceSpec)
    if not _hurries(run, entry.record, spec):
        instances.refuse_rival(run, run.uid(item))
    if entry.record == spec:
        return Outcome(outputs={item: True})  # Our own, from before a crash.
    if spec.generation != entry.record.generation + 1:
        raise Conflict("somebody else changed it", run.operation.target, "read it again")
    outcome = instances.write_spec(entry, spec)
    # The output is what an undo goes back to.
    hurried = next(iter(instances.rivals(run, spec.uid)), "")
    outcome.outputs[item] = msgspec.to_builtins(_Prior(entry.record, hurried))
    return outcome


def _hurries(run: Run, present: InstanceSpec, spec: InstanceSpec) -> bool:
    """Tell whether this is the stop or reboot that is under way, by force.

    It goes beside the other: both wait for the same end, and whoever asks has a guest that hangs.
    One is enough, since nothing is shorter, so that there are never more than two.
    """
    wish = (spec.wanted, spec.boot_generation)
    if spec.patience_s != 0.0 or present.patience_s == 0.0:
        return False
    others = [run.catalog.operations.record(own) for own in instances.rivals(run, spec.uid)]
    return wish == (present.wanted, present.boot_generation) and all(
        other is not None and other.kind == run.operation.kind for other in others
    )


def more_time_s(spec: InstanceSpec) -> float:
    """Give the seconds by which a stop's deadline is later for the patience that it was given."""
    return max(0.0, (spec.patience_s or 0.0) - limits.STOP_PATIENCE_VM_S)


def _before(run: Run, item: int) -> InstanceSpec | None:
    """Give what was wanted before, as a generation of its own.

    None where that was done already, or something else is wanted since.
    """
    prior, entry = _prior(run.operation), run.catalog.specs.get(run.uid(item))
    if prior is None or entry is None or entry.record.deleting:
        return None
    generation = entry.record.generation
    if generation != run.operation.input["generation"]:
        return None
    return _anew(prior.spec, generation + 1)


def _anew(spec: InstanceSpec, generation: int) -> InstanceSpec:
    return msgspec.structs.replace(spec, generation=generation)


def _before_moved(run: Run, item: int) -> InstanceSpec | None:
    """Give what is wanted again after a start, stop or reboot that somebody cancelled.

    After a start that is stopped, whatever it was before. None after any other failure: then the
    wish stands, and its host goes on with it.
    """
    failure, prior = run.operation.failures.get(str(item)), _prior(run.operation)
    if failure is None or failure.kind != Cancelled.__name__ or prior is None:
        return None
    spec = _before_both(run, item, prior)
    if spec is None or run.operation.kind != START.kind:
        return spec
    # One that had failed, or backs off, was wanted running: a new generation would start it now.
    return msgspec.structs.replace(spec, wanted="stopped")


def _before_both(run: Run, item: int, prior: _Prior) -> InstanceSpec | None:
    """Give what was wanted before, also before the operation that this one is or was beside.

    Each of two can be cancelled, in either order. The one by force goes back to what the other
    asked for, unless that is cancelled too; the other, where it finds its own wish brought back so,
    to what was before both. Two things to go back to are of two generations, so that a host which
    was brought the one takes the other.
    """
    spec = _before(run, item)
    if spec is None:
        return _before_brought_back(run, item, prior)
    other = run.catalog.operations.record(prior.hurried)
    if other is None or not other.cancel_requested or other.state in FINAL - {"cancelled"}:
        return spec
    first = _prior(other)
    return spec if first is None else _anew(first.spec, spec.generation + 1)


def _before_brought_back(run: Run, item: int, prior: _Prior) -> InstanceSpec | None:
    """Give what was before this one's wish, where one by force beside it went back to that wish."""
    present = run.catalog.specs.record(run.uid(item))
    wish = msgspec.convert(run.operation.input, InstanceSpec)
    # The one by force made one generation, and went back to the wish in a later one.
    if present is None or present.generation < wish.generation + 2:
        return None
    generation = present.generation
    return _anew(prior.spec, generation + 1) if present == _anew(wish, generation) else None


async def _write_back(run: Run, items: Items) -> Outcome:
    """Write down what is wanted again after an update."""
    (item,) = items
    spec = _before(run, item)
    return Outcome() if spec is None else _written(run, spec)


def _written(run: Run, spec: InstanceSpec) -> Outcome:
    return instances.write_spec(instances.spec_entry(run, spec.uid), spec)


async def _write_moved_back(run: Run, items: Items) -> Outcome:
    """Write down what is wanted again after a start, stop or reboot.

    If that depends on another operation, as it is when this is written.
    """
    (item,) = items
    prior, spec = _prior(run.operation), _before_moved(run, item)
    if prior is None or not prior.hurried:
        return Outcome() if spec is None else _written(run, spec)
    brought = None
    while spec is not None and spec != brought:
        # The other may be cancelled since the host was brought what was wanted then.
        await _bring_back(run, items, spec)
        brought, spec = spec, _before_moved(run, item)
    if spec is None:
        return Outcome()
    outcome = _written(run, spec)
    if (other := run.catalog.operations.get(prior.hurried)) is not None:
        outcome.compares.append(unchanged(other.key, other.revision))
    return outcome


async def _bring_back(run: Run, items: Items, spec: InstanceSpec) -> Outcome:
    # A host answers a step that it has done from its record.
    return await instances.realise(run, items, f"undo-{spec.generation}", lambda _: spec)


async def _move_back(run: Run, items: Items) -> Outcome:
    """Bring the host what is wanted again; runs before that is written."""
    (item,) = items
    spec = _before_moved(run, item)
    return Outcome() if spec is None else await _bring_back(run, items, spec)


async def _resize(run: Run, items: Items) -> Outcome:
    """Bring the claim to what is wanted now."""
    (item,) = items
    placed = await run.wait(run.placement.resize(instances.stored_spec(run, item)))
    if placed.error is not None:
        raise placed.error
    return Outcome()


async def _resize_back(run: Run, items: Items) -> Outcome:
    del items
    if (prior := _prior(run.operation)) is not None:
        await run.wait(run.placement.resize(prior.spec))
    return Outcome()


async def _realise(run: Run, items: Items) -> Outcome:
    (item,) = items
    # Why it is as it is: another reason is one that came with this change.
    known = run.catalog.statuses.record(run.uid(item))
    outcome = await instances.realise(run, items)
    if item in outcome.outputs:
        outcome.outputs[item] = known.reason if known is not None else ""
    return outcome


async def _applied(run: Run, items: Items) -> Outcome:
    """Wait until the host has the new generation or has refused it, and tell what holds when."""
    (item,) = items
    spec, reason = instances.stored_spec(run, item), run.output("realise", item)

    def settled(entry: Entry[InstanceStatus] | None) -> bool:
        return entry is not None and (
            entry.record.generation >= spec.generation or _refuses(entry.record, reason)
        )

    awaited = run.catalog.when(run.catalog.statuses, spec.uid, settled)
    status = (await run.wait(awaited)).record
    if status.generation < spec.generation:
        told = "its host keeps it as it was; see its events, and ask for something else"
        raise DriverFailed(f"it was not changed: {status.reason}", run.operation.target, told)
    prior = _prior(run.operation)
    names = changed(prior.spec, spec) if prior is not None else ()
    later = [name for name in names if name in status.pending_reboot]
    return Outcome(
        result={"live": [name for name in names if name not in later], "at_start": later}
    )


def _refuses(status: InstanceStatus, before: object) -> bool:
    """Tell that an instance is left as it was, for a reason that there was not before."""
    at_rest = status.state in {"running", "stopped"}
    return at_rest and bool(status.reason) and status.reason != before


async def _realise_back(run: Run, items: Items) -> Outcome:
    """Bring the host back to what is wanted again; runs before that is written."""
    prior = _prior(run.operation)
    if prior is None:
        return Outcome()
    spec = _anew(prior.spec, run.operation.input["generation"] + 1)
    return await instances.realise(run, items, "undo", lambda _: spec)


_ACCEPT = Step("accept", _write, _write_moved_back)
_REALISE = Step("realise", instances.realise, _move_back, repeated=True)
_REACHED = Step("reach", instances.reached)

START = Workflow("start_instance", (_ACCEPT, _REALISE, _REACHED), 120.0)
STOP = Workflow("stop_instance", (_ACCEPT, _REALISE, _REACHED), limits.STOP_PATIENCE_VM_S + 60.0)
REBOOT = Workflow(
    "reboot_instance", (_ACCEPT, _REALISE, _REACHED), limits.STOP_PATIENCE_VM_S + 120.0
)
UPDATE = Workflow(
    "update_instance",
    (
        Step("accept", _write, _write_back),
        Step("resize", _resize, _resize_back),
        Step("realise", _realise, _realise_back),
        Step("apply", _applied),
    ),
    120.0,
)
