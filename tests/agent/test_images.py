"""The host's cache of images: fetched once, kept while used, dropped when told."""

from __future__ import annotations

import msgspec
import pytest

from fifo.agent import names
from fifo.agent.image_cache import IMAGES, PROGRESS
from fifo.hypervisors.simulated.faults import Fault
from tests.agent.world import HOST, AgentWorld, image_of, spec_of, uid_of


@pytest.fixture
def world() -> AgentWorld:
    """An agent on a quick host, owned by a session."""
    made = AgentWorld()
    made.attach()
    return made


def test_an_image_is_fetched_once_however_many_wait(world: AgentWorld) -> None:
    image = image_of(1, size_bytes=1_000_000_000)
    fetches: list[str] = []
    strike = world.host.faults.strike

    def count(verb: str, uid: str = "", image: str = "") -> Fault | None:
        if verb == "fetch_image":
            fetches.append(image)
        return strike(verb, uid, image)

    world.host.faults.strike = count  # type: ignore[method-assign]
    specs = [spec_of(number, image=image.uid) for number in range(20)]
    for spec in specs:
        world.realise(spec, image=image)
    world.time.advance(5.0)
    cache = world.node.address(names.image_cache(HOST))
    done_bytes, size_bytes = cache.call(PROGRESS).get()[image.uid]
    assert 0 < done_bytes < size_bytes == 1_000_000_000
    for spec in specs:
        world.await_state(spec.uid, "running")
    assert fetches == [image.uid]
    assert cache.call(IMAGES).get() == (image.uid,)
    assert cache.call(PROGRESS).get() == {}


def test_an_image_is_not_deleted_while_it_is_used(world: AgentWorld) -> None:
    image = image_of(1)
    for number in (1, 2):
        world.realise(spec_of(number, image=image.uid), image=image)
        world.await_state(uid_of(number), "running")
    failure = world.command("delete_image", image.uid, argument=image.uid).failure
    assert failure is not None
    assert f"in use by {uid_of(1)}, {uid_of(2)}" in failure.what
    world.crash_agent()
    world.start_agent()
    world.time.advance(1.0)
    assert world.command("delete_image", image.uid, argument=image.uid).failure is not None
    for number in (1, 2):
        world.command("remove", uid_of(number))
    assert world.command("delete_image", image.uid, argument=image.uid).failure is None
    assert world.host.images == {}


def test_a_fetched_image_is_answered_with_its_record(world: AgentWorld) -> None:
    image = image_of(1)
    result = world.command("fetch_image", image.uid, image=image, argument=image.uid)
    assert result.failure is None
    assert (result.value["uid"], result.value["state"]) == (image.uid, "ready")


def test_an_image_that_cannot_be_had_fails_those_who_need_it(world: AgentWorld) -> None:
    image = image_of(1)
    world.host.faults.add(Fault("fetch_image", "error", text="404", times=1))
    spec = spec_of(1, image=image.uid)
    world.realise(spec, image=image)
    world.await_state(spec.uid, "failed")
    assert "404" in world.status(spec.uid).reason


def test_a_transfer_that_is_given_up_leaves_no_image(world: AgentWorld) -> None:
    image = image_of(1, size_bytes=1_000_000_000)
    fetching = world.send("fetch_image", image.uid, image=image, argument=image.uid)
    world.time.advance(5.0)
    assert world.command("delete_image", image.uid, argument=image.uid).failure is None
    failure = fetching.get().failure
    assert failure is not None
    assert failure.kind == "Cancelled"
    world.time.advance(600.0)
    assert world.host.images == {}
    assert world.node.address(names.image_cache(HOST)).call(IMAGES).get() == ()


def test_an_image_asked_for_after_its_transfer_was_given_up_is_fetched_anew(
    world: AgentWorld,
) -> None:
    image = image_of(1, size_bytes=1_000_000_000)
    world.send("fetch_image", image.uid, image=image, argument=image.uid)
    world.time.advance(5.0)
    world.command("delete_image", image.uid, argument=image.uid)
    other = msgspec.structs.replace(image, source="/other.tar", size_bytes=7)
    again = world.command("fetch_image", image.uid, image=other, argument=image.uid)
    assert again.failure is None
    assert again.value["source"] == "/other.tar"
    assert world.host.images[image.uid].source == "/other.tar"


def test_a_transfer_that_an_instance_waits_for_is_not_given_up(world: AgentWorld) -> None:
    image = image_of(1, size_bytes=1_000_000_000)
    world.realise(spec_of(1, image=image.uid), image=image)
    world.time.advance(5.0)
    failure = world.command("delete_image", image.uid, argument=image.uid).failure
    assert failure is not None
    assert uid_of(1) in failure.what
    world.await_state(uid_of(1), "running")
