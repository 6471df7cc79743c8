"""A process with OTP's gen_server callbacks."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self, TypeVar

from supervisors import context, starting
from supervisors.errors import WouldDeadlock
from supervisors.process import Process

if TYPE_CHECKING:
    from supervisors.future import Future
    from supervisors.ref import Ref

logger = logging.getLogger("supervisors")

P = TypeVar("P", bound=Process)


def start_and_wait(
    process_class: type[P],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    name: Any,
    timeout_s: float | None,
) -> Ref[P]:
    """Start a process on the active node and wait for its init: the `start` of every behaviour."""
    shard = process_class.node_here().shard
    inside = context.running_shard() is not None
    started: Future[Ref[P]] = starting.start_future(
        shard, process_class, args, kwargs,
        name=name, timeout_s=timeout_s, inline=inside or shard.host.inline_init,
    )  # fmt: skip
    try:
        return started.get()
    except WouldDeadlock as refusal:
        started._target.kill()
        raise WouldDeadlock(
            f"the init of {process_class.__name__} awaits, and this thread would have to go on; "
            "start it by `await self.node.start(...)`, on the loop by `await node.start(...)`"
        ) from refusal


class GenServer(Process):
    """A server with gen_server's callbacks: init, the four handlers, and terminate.

    State lives on `self`. Handlers are plain or `async def`; an async one that awaits parks the
    server, and later messages wait, as in gen_server. What they return is described in
    `supervisors.results`: a plain value from handle_call is the reply, None elsewhere is nothing.
    A handler that raises ends the server, and the caller it was serving gets CallExit; Pykka's
    `ask` keeps Pykka's rule instead.
    """

    @classmethod
    def start(
        cls, *args: Any, name: Any = None, timeout_s: float | None = None, **kwargs: Any
    ) -> Ref[Self]:
        """Start on the active node, wait for init and give the ref.

        In a handler the init runs within the handler's own turn, and on the thread of an asyncio
        loop it runs at once, so there it may not await: use `await self.start_link(...)` or
        `await node.start(...)` for those. Raises StartError; WouldDeadlock, and nothing is left
        running, for an init that awaits there, or that awaits what can never come.
        """
        return start_and_wait(cls, args, kwargs, name, timeout_s)

    def begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Run init in the server's own turn."""
        return self.init(*args, **kwargs)

    def init(self, *args: Any, **kwargs: Any) -> Any:
        """Set up. Return None, IGNORE, Stop(reason), Continue, Timeout or Hibernate."""
        del args, kwargs

    def handle_call(self, message: Any, caller: Any) -> Any:
        """Answer a call: return the reply, or NoReply() and `caller.reply(value)` later."""
        del caller
        raise NotImplementedError(
            f"{type(self).__name__} got a call it has no handler for: {message!r}"
        )

    def handle_ask(self, message: Any, caller: Any) -> Any:
        """Answer Pykka's ask; as a call, but an exception goes to the asker alone."""
        return self.handle_call(message, caller)

    def handle_cast(self, message: Any) -> Any:
        """Serve a request without an answer."""
        raise NotImplementedError(
            f"{type(self).__name__} got a cast it has no handler for: {message!r}"
        )

    def handle_info(self, message: Any) -> Any:
        """Take anything else: tells, timers, Exit, Down. Logged and dropped by default."""
        logger.warning("Unexpected message received by %s: %r", self, message)

    def on_receive(self, message: Any) -> Any:
        """Take a plain message; a server's are infos."""
        return self.handle_info(message)

    def terminate(self, reason: Any) -> Any:
        """Clean up before the end (not when killed)."""
