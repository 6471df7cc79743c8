"""Adopt: the store takes over what a host has and it does not know, as the host's agent knows it.

The agent keeps the spec and the claim that it accepted last: from these the records are made. The
instance itself is not touched, and nothing is asked of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model import names
from fifo.model.errors import AlreadyExists, NotFound, WrongState
from fifo.model.instance import Claim, InstanceSpec
from fifo.workflows import create, instances, strangers
from fifo.workflows.workflow import Outcome, Step, Workflow

if TYPE_CHECKING:
    from fifo.model.errors import FifoError
    from fifo.store.catalog import Catalog
    from fifo.workflows.workflow import Items, Run

_DEADLINE_S = 120.0
"""Nothing is made: two answers of a host, and a report."""


def refuse_unfit(catalog: Catalog, asked: dict[str, str], uid: str) -> None:
    """Raise what is known to be wrong without the host; `asked` is an operation's input.

    AlreadyExists for an instance that the store has or an id that is taken, NotFound for what is
    not foreign on the host.
    """
    known = catalog.specs.record(uid)
    if known is not None:
        name = names.instance_name(known.id, known.org)
        raise AlreadyExists("the store has it already", name, f"fifo instance get {known.id}")
    strangers.refuse_unlisted(catalog, asked["host"], uid)
    wanted = asked["id"]
    if wanted and catalog.uid_of(names.INSTANCES, names.DEFAULT_ORG, wanted) is not None:
        raise _taken(wanted)


async def _hold(run: Run, items: Items) -> Outcome:
    """Take the stranger for this operation."""
    for item in items:
        refuse_unfit(run.catalog, run.operation.input, run.uid(item))
    return await strangers.hold(run, items)


def _taken(own: str, org: str = names.DEFAULT_ORG) -> AlreadyExists:
    name = names.instance_name(own, org)
    return AlreadyExists("an instance has this name", name, "adopt it by another: instance_id")


async def _ask(run: Run, items: Items) -> Outcome:
    """Have the agent say what it accepted last."""
    outcome = await instances.order_all(
        run, items, lambda item: strangers.order(run, "ask", "describe", run.uid(item))
    )
    for item, error in outcome.failed.items():
        if isinstance(error, NotFound):
            outcome.failed[item] = WrongState(
                "its host's agent does not know it either: it is a leftover without a spec",
                run.operation.target,
                "look at its data on the host, then: fifo hypervisor remove-foreign",
                reason="NO_SPEC",
            )
    return outcome


def _spec(run: Run, item: int) -> InstanceSpec:
    spec = msgspec.convert(run.output("ask", item)["spec"], InstanceSpec)
    return msgspec.structs.replace(spec, id=run.operation.input["id"] or spec.id)


async def _write(run: Run, items: Items) -> Outcome:
    """Write the specs with their ids."""
    specs = {item: _spec(run, item) for item in items}
    unfit = {item: error for item, spec in specs.items() if (error := _unfit(run, spec))}
    outcome = create.write(run, {item: specs[item] for item in items if item not in unfit})
    outcome.failed |= unfit
    return outcome


def _unfit(run: Run, spec: InstanceSpec) -> FifoError | None:
    """Say why a spec cannot be the store's; None if it can."""
    target = run.operation.target
    if spec.deleting:
        return WrongState("it was being deleted", target, "fifo hypervisor remove-foreign")
    owner = run.catalog.uid_of(names.INSTANCES, spec.org, spec.id)
    if owner not in {None, spec.uid}:
        return _taken(spec.id, spec.org)
    for uid in sorted(spec.images):
        if run.catalog.images.get(uid) is None:
            return WrongState(
                f"its image {uid} is not in the store",
                target,
                "import the image with this uid again, or remove the instance",
                reason="NO_IMAGE",
            )
    return None


async def _unwrite(run: Run, items: Items) -> Outcome:
    return create.unwrite(run, items, "write")


async def _claim(run: Run, items: Items) -> Outcome:
    """Claim of its host and of the networks what it has already."""
    outcome = Outcome()
    for item in items:
        claim = msgspec.structs.replace(
            msgspec.convert(run.output("ask", item)["claim"], Claim),
            host=strangers.host_of(run),
            operation=run.operation.id,
        )
        placed = await run.wait(run.placement.adopt(claim))
        if placed.error is not None:
            outcome.failed[item] = placed.error
        else:
            outcome.outputs[item] = claim.host
    return outcome


async def _disclaim(run: Run, items: Items) -> Outcome:
    for item in items:
        await run.wait(run.placement.disown(run.uid(item), run.operation.id))
    return Outcome()


async def _report(run: Run, items: Items) -> Outcome:
    """Have its status reported, which nobody took down while it was foreign."""
    for item in items:
        # What is reported of an instance is dropped before its spec is seen.
        spec = run.catalog.when(run.catalog.specs, run.uid(item), lambda entry: entry is not None)
        await run.wait(spec)
    outcome = await instances.order_all(
        run, items, lambda item: strangers.order(run, "report", "tell", run.uid(item))
    )
    for item in outcome.outputs:
        status = run.catalog.when(
            run.catalog.statuses, run.uid(item), lambda entry: entry is not None
        )
        await run.wait(status)
    return outcome


ADOPT = Workflow(
    "adopt_foreign_instance",
    (
        Step("accept", _hold, strangers.let_go),
        Step("ask", _ask, repeated=True),
        Step("write", _write, _unwrite),
        Step("claim", _claim, _disclaim, repeated=True),
        Step("report", _report),
        Step("settle", strangers.settle),
    ),
    _DEADLINE_S,
)
