"""What each verb of a command makes the gateway do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from fifo.agent import course, limits, names
from fifo.agent.image_cache import Drop, Ensure, Uses
from fifo.agent.intent import Intent, intent_of
from fifo.agent.messages import Granted, Remove, Wish
from fifo.agent.orders import Order
from fifo.agent.recollection import known_of
from fifo.agent.writes import Read, Write
from fifo.model import keys, records
from fifo.model.errors import (
    FifoError,
    InvalidInput,
    NotFound,
    Unavailable,
    Violation,
    WrongState,
)
from supervisors import SupervisorsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.agent.gateway import Gateway
    from fifo.model.link import Command
    from supervisors import Future, Ref


class Open:
    """A command that is under way, and who waits for its answer."""

    __slots__ = ("callers", "command", "key", "monitor")

    def __init__(self, command: Command, key: bytes, callers: list[Future[Any]]) -> None:
        self.command = command
        self.key = key
        self.callers = callers
        self.monitor: Any = None


def realise(gateway: Gateway, opened: Open) -> None:
    """Write an intent down, from where its actor has it; older ones change nothing."""
    command = opened.command
    uid = command.uid
    intent = intent_of(command)
    if intent is None:
        wrong = Violation("spec, claim", "both are needed to realise an instance")
        gateway.finish(opened, None, InvalidInput(uid, (wrong,)))
        return
    known = gateway.known.get(uid)
    if known is not None and known.removing:
        gateway.finish(opened, None, WrongState("it is being removed", uid, "create another"))
        return
    if known is not None and intent.spec.generation < known.generation:
        gateway.finish(opened, None, None)
        return
    gateway.known[uid] = known_of(intent)

    def hand_over() -> None:
        if intent.image is not None:
            gateway.images.cast(Uses(uid, intent.image.uid))
        if known is None:
            gateway.start_actor(uid)

    write = Write(intent=intent, fresh=known is None)
    if known is None and command.started:
        write = write._replace(memory=course.of_a_stranger(uid, command.started))
    gateway.finish(opened, None, None, write, hand_over)


def remove(gateway: Gateway, opened: Open) -> None:
    """Have nothing left of an instance, known or not."""
    command = opened.command
    known = gateway.known.get(command.uid)
    if known is None:
        gateway.driver.cast(
            Order(
                "delete",
                (command.uid,),
                limits.DELETE_DEADLINE_S,
                subject=command.uid,
                to=gateway.ref,
                token=gateway.token_for(opened),
            )
        )
        return
    gateway.known[command.uid] = known._replace(removing=True)
    actor = _actor(gateway, opened)
    if actor is not None:
        actor.cast(Remove(command.operation))


def describe(gateway: Gateway, opened: Open) -> None:
    """Answer with the spec and the claim of an instance as they were accepted last."""
    uid = opened.command.uid
    known = gateway.known.get(uid)
    if known is None or known.removing:
        told = (
            NotFound("this host's agent does not know it", uid)
            if known is None
            else WrongState("it is being removed", uid, "wait until it is gone")
        )
        gateway.finish(opened, None, told)
        return
    token, front = gateway.token_for(opened), gateway.ref

    def answer(read: Future[Any]) -> None:
        try:
            intent = records.decode(Intent, read.result() or b"")
        except (FifoError, SupervisorsError) as error:
            lost = Unavailable(f"its record cannot be read: {error}", uid)
            front.cast(Granted(token, None, lost))
            return
        front.cast(Granted(token, {"spec": intent.spec, "claim": intent.claim}, None))

    question = Read(keys.by_uid(keys.AGENT_SPEC, uid))
    gateway.journal.call(question, timeout_s=None).add_done_callback(answer)


def tell(gateway: Gateway, opened: Open) -> None:
    """Have its latest status reported once more, to a store that has none of it."""
    gateway.finish(opened, None, None, Write(again=opened.command.uid))


def wish(gateway: Gateway, opened: Open) -> None:
    """Pass a snapshot's verb on to the instance's actor."""
    command = opened.command
    if command.uid not in gateway.known:
        told = NotFound("this host does not know it", command.uid, "look where it is placed")
        gateway.finish(opened, None, told)
        return
    actor = _actor(gateway, opened)
    if actor is not None:
        token, what = gateway.token_for(opened), (command.verb, command.argument, command.image)
        actor.cast(Wish(*what, command.operation, gateway.ref, token))


def _actor(gateway: Gateway, opened: Open) -> Ref[Any] | None:
    """Find an instance's actor and watch it; if it is between two lives, obey again later."""
    actor = gateway.node.whereis(names.instance(gateway.host, opened.command.uid))
    if actor is None:
        gateway.again(opened)
    else:
        gateway.watch(opened, actor)
    return actor


def fetch_image(gateway: Gateway, opened: Open) -> None:
    """Bring an image into the cache."""
    image = opened.command.image
    if image is None:
        wrong = Violation("image", "the image's record is needed to fetch it")
        gateway.finish(opened, None, InvalidInput(opened.command.argument, (wrong,)))
        return
    gateway.images.cast(Ensure(image, "", gateway.ref, gateway.token_for(opened)))


def delete_image(gateway: Gateway, opened: Open) -> None:
    """Drop an image from the cache."""
    uid = opened.command.argument or opened.command.uid
    gateway.images.cast(Drop(uid, gateway.ref, gateway.token_for(opened)))


OBEY: Final[dict[str, Callable[[Any, Open], None]]] = {
    "realise": realise,
    "remove": remove,
    "describe": describe,
    "tell": tell,
    "snapshot": wish,
    "roll_back": wish,
    "delete_snapshot": wish,
    "capture_image": wish,
    "fetch_image": fetch_image,
    "delete_image": delete_image,
}
