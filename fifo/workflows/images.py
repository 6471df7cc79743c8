"""Images: bring one in, make one of an instance, drop one that nothing uses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from fifo.model import keys, names, records
from fifo.model.errors import AlreadyExists, FifoError, NoRoom, NotFound, Unavailable, WrongState
from fifo.model.image import Image
from fifo.store.contract import Delete, Put, absent, unchanged
from fifo.workflows import debts
from fifo.workflows.failures import error_of
from fifo.workflows.instances import order_to
from fifo.workflows.unmet import may_come, while_unmet
from fifo.workflows.workflow import Outcome, Step, Workflow
from fifo.workflows.world import NO_HOST

if TYPE_CHECKING:
    from fifo.model.link import Verb
    from fifo.store.catalog import Catalog
    from fifo.workflows.workflow import Items, Run

_DEADLINE_S = 3_600.0
"""A large image over a slow line: an hour, after which it is undone."""


def refusal(catalog: Catalog, image: Image) -> AlreadyExists | None:
    """Say why a new image cannot have its name and uid; None if it can, as things are.

    Nor can it have a uid whose removal a host owes.
    """
    name = f"{names.IMAGES}/{image.id}"
    if catalog.images.get(image.uid) or catalog.uid_of(names.IMAGES, "", image.id):
        return AlreadyExists("an image has this name or uuid already", name, "choose another")
    return debts.owed(catalog, "image", image.uid, name)


def _wanted(run: Run) -> Image:
    return msgspec.convert(run.operation.input, Image)


async def _write(run: Run, items: Items) -> Outcome:
    """Write the image's record, as one that is being imported."""
    (item,) = items
    image = _wanted(run)
    if (taken := refusal(run.catalog, image)) is not None:
        raise taken
    key = keys.by_uid(keys.IMAGE, image.uid)
    index = keys.index(names.IMAGES, "", image.id)
    return Outcome(
        outputs={item: True},
        compares=[absent(key), absent(index)],
        writes=[Put(key, records.encode(image)), Put(index, image.uid.encode())],
    )


async def _unwrite(run: Run, items: Items) -> Outcome:
    (item,) = items
    return Outcome() if run.output("accept", item) is None else await _forget(run, items)


async def _fetch(run: Run, items: Items) -> Outcome:
    """Have a ready host bring it into its cache; others fetch it when they first need it."""
    (item,) = items
    host = _ready_host(run)
    result = await _order(run, host, "fetch_image", "fetch")
    return Outcome(outputs={item: result})


def _ready_host(run: Run) -> str:
    brands = set(_wanted(run).brands)
    for entry in run.catalog.host_statuses:
        status = entry.record
        if status.condition == "ready" and status.probe and brands & set(status.probe.brands):
            return status.uid
    told, target = f"no host that is ready runs {', '.join(sorted(brands))}", run.operation.target
    refusal: FifoError
    if may_come(run, brands):
        remedy = "see why a host is not: fifo hypervisor list; once it is, ask again"
        refusal = Unavailable(told, target, remedy, reason=NO_HOST)
    else:
        refusal = NoRoom(told, target, "see `fifo -o wide hypervisor list`, under CANNOT")
    raise while_unmet(run, refusal, brands)


async def _order(run: Run, host: str, verb: Verb, step: str, uid: str = "") -> object:
    image = run.catalog.images.record(run.operation.uids[0]) or _wanted(run)
    about = uid or image.uid
    order = order_to(run, host, step, verb, about, image=image, argument=image.uid)
    answer = await run.wait(run.hosts.command(host, order))
    if answer.failure is not None:
        raise error_of(answer.failure)
    return answer.value


async def _drop(run: Run, items: Items, step: str = "drop") -> Outcome:
    """Have every host take it out of its cache; one that is away owes that."""
    del items
    outcome = Outcome()
    for entry in list(run.catalog.host_statuses):
        host = entry.record.uid
        if entry.record.condition == "ready":
            await _order(run, host, "delete_image", step)
            continue
        outcome.writes += debts.of_image(run, run.operation.uids[0], host)
    return outcome


async def _unfetch(run: Run, items: Items) -> Outcome:
    return await _drop(run, items, "undo")


async def _publish(run: Run, items: Items) -> Outcome:
    """Note what the host found, and let instances be made from it."""
    (item,) = items
    entry = run.catalog.images.get(run.uid(item))
    if entry is None:
        raise NotFound("its record is gone", run.operation.target)
    fetched = run.output("fetch", item) or run.output("capture", item)
    found = msgspec.convert(fetched, Image)
    ready = msgspec.structs.replace(found, state="ready")
    return Outcome(
        compares=[unchanged(entry.key, entry.revision)],
        writes=[Put(entry.key, records.encode(ready))],
    )


async def _capture(run: Run, items: Items) -> Outcome:
    """Have an instance's host make an image of it."""
    (item,) = items
    source = _wanted(run).from_instance
    claim = run.catalog.claims.record(source)
    if claim is None:
        raise NotFound("the instance has no host", source)
    value = await _order(run, claim.host, "capture_image", "capture", source)
    return Outcome(outputs={item: value})


def in_use(run: Run, uid: str) -> FifoError | None:
    """Say why an image cannot go: the instances that are made from it; None if nothing is."""
    users = [entry.record for entry in run.catalog.specs if uid in entry.record.images]
    if not users:
        return None
    shown = ", ".join(names.instance_name(user.id, user.org) for user in users[:3])
    return WrongState(
        f"{len(users)} instances are made from it: {shown}",
        f"images/{uid}",
        "delete these first",
        reason="IMAGE_IN_USE",
    )


async def _unpublish(run: Run, items: Items) -> Outcome:
    """Let no more instances be made from it: a create compares the image's record."""
    (item,) = items
    entry = run.catalog.images.get(run.uid(item))
    if entry is None:
        raise NotFound("it does not exist", run.operation.target)
    if (used := in_use(run, run.uid(item))) is not None:
        raise used
    going = msgspec.structs.replace(entry.record, state="deleting")
    return Outcome(
        compares=[unchanged(entry.key, entry.revision)],
        writes=[Put(entry.key, records.encode(going))],
    )


async def _forget(run: Run, items: Items) -> Outcome:
    (item,) = items
    entry = run.catalog.images.get(run.uid(item))
    if entry is None:
        return Outcome()
    index = keys.index(names.IMAGES, "", entry.record.id)
    return Outcome(writes=[Delete(entry.key), Delete(index)])


_ACCEPT = Step("accept", _write, _unwrite)
_PUBLISH = Step("publish", _publish)

IMPORT = Workflow("import_image", (_ACCEPT, Step("fetch", _fetch, _unfetch), _PUBLISH), _DEADLINE_S)
CAPTURE = Workflow(
    "create_image", (_ACCEPT, Step("capture", _capture, _unfetch), _PUBLISH), _DEADLINE_S
)
DELETE_IMAGE = Workflow(
    "delete_image",
    (Step("unpublish", _unpublish), Step("drop", _drop), Step("forget", _forget)),
    _DEADLINE_S,
)
