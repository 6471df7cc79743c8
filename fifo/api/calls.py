"""One call as its handler sees it: who asks, how long there is, and the way to answer a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fifo.security.principals import NOBODY

if TYPE_CHECKING:
    import asyncio

    import grpc
    from google.protobuf.message import Message

    from fifo.api.measures import MethodMeasures
    from fifo.api.methods import Method
    from fifo.model.errors import FifoError


class Call:
    """A call in progress; on the node's loop, in the task that gRPC runs it in."""

    __slots__ = (
        "begun", "context", "ended_by", "measures", "method", "operation", "principal", "request",
        "resource", "task", "trailing",
    )  # fmt: skip

    def __init__(
        self,
        method: Method,
        context: grpc.aio.ServicerContext[Any, Any],
        measures: MethodMeasures,
    ) -> None:
        self.method = method
        self.context = context
        self.measures = measures
        self.principal = NOBODY
        self.request: Message | None = None
        """What was asked; of a stream its first frame. None until it could be read."""
        self.resource = ""
        """What the audit names as the resource, where the request does not say it."""
        self.begun = ""
        """The id of its lines in the audit; empty before it is begun, and if it never is."""
        self.operation = ""
        """The operation that came of it, for the audit."""
        self.trailing: tuple[tuple[str, str], ...] = ()
        """What goes with the end of a stream, however it ends."""
        self.ended_by: FifoError | None = None
        self.task: asyncio.Task[Any] | None = None

    def remaining_s(self) -> float | None:
        """Give the seconds that the caller still waits; None if for ever."""
        return self.context.time_remaining()

    async def send(self, message: Message) -> None:
        """Send one message of a stream; returns when there is room for the next."""
        self.measures.sent += 1
        await self.context.write(message.SerializeToString())

    def end(self, error: FifoError) -> None:
        """End a stream from outside with an error: its access was revoked, or the node drains."""
        if self.ended_by is None and self.task is not None:
            self.ended_by = error
            self.task.cancel()
