"""The door: the one wrapper around every handler.

It authenticates, authorises, bounds, validates, measures and audits. What a method needs is taken
from the table when the server starts, so that a call runs through one closure and no chain.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import grpc
from google.protobuf.message import DecodeError, Message

from fifo.api import audit, limits, second_look, status
from fifo.api.calls import Call
from fifo.api.measures import MethodMeasures
from fifo.model import names
from fifo.model.errors import (
    DeadlineExceeded,
    FifoError,
    InvalidInput,
    NoRoom,
    Unauthenticated,
    Unavailable,
    Violation,
)
from fifo.security import permissions
from supervisors import SupervisorsError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    from google.rpc import status_pb2

    from fifo.api.admission import Budget, Class
    from fifo.api.audit import Audit
    from fifo.api.identity import Identity
    from fifo.api.methods import Method
    from fifo.api.validation import Validation

    Context = grpc.aio.ServicerContext[Any, Any]
logger = logging.getLogger("fifo.api")

PUSHBACK: Final = "grpc-retry-pushback-ms"
_CAMEL: Final = re.compile(r"(?<!^)(?=[A-Z])")


def handler_name(method: str) -> str:
    """Give the name of the function that serves a method: GetInstance -> get_instance."""
    return _CAMEL.sub("_", method).lower()


class Door:
    """Makes gRPC handlers of functions; all on the node's loop."""

    def __init__(
        self,
        identity: Identity,
        record: Audit,
        budgets: Mapping[Class, Budget],
        validation: Validation,
        *,
        utc: Callable[[], float],
        clock: Callable[[], float],
        new_id: Callable[[], str],
    ) -> None:
        self._identity = identity
        self._audit = record
        self._validation = validation
        self.budgets = budgets
        self._utc = utc
        self._clock = clock
        self._new_id = new_id
        self.measures: dict[str, MethodMeasures] = {}
        self.streams: set[Call] = set()

    def end_streams(self, error: FifoError, token: str | None = None, but: str = "") -> None:
        """End all streams, or those that were opened with a token; not those of one service."""
        for call in tuple(self.streams):
            if token in {None, call.principal.token} and call.method.service != but:
                call.end(error)

    def revoked(self, token: str) -> None:
        """End what a token that is good no longer had opened."""
        told = Unauthenticated("the token was revoked", "", "use the present one")
        self.end_streams(told, token)

    def handler(
        self,
        method: Method,
        request: type[Message],
        function: Callable[..., Any],
        *,
        takes_stream: bool,
        gives_stream: bool,
        look: Callable[..., Any] | None = None,
    ) -> grpc.RpcMethodHandler[Any, Any]:
        """Make the handler of a method; bytes go in and out, so that the door parses them.

        `look` is what refuses a request as its function would, and does no more: of a stream, or
        where more can be said than the function says.
        """
        kind = _KINDS[takes_stream, gives_stream]
        measures = MethodMeasures(method.service, method.name)
        self.measures[method.path] = measures
        check = self._validation.checker(request)
        run = (
            self._stream(method, request, check, function, look, takes_stream=takes_stream)
            if takes_stream or gives_stream
            else self._unary(method, request, check, function, look)
        )
        guarded = self._guarded(method, measures, run)
        make = getattr(grpc, f"{kind}_rpc_method_handler")
        handler: grpc.RpcMethodHandler[Any, Any] = make(guarded)
        return handler

    # -- the closures ------------------------------------------------------------------------

    def _guarded(
        self,
        method: Method,
        measures: MethodMeasures,
        run: Callable[[Any, Call], Awaitable[bytes | None]],
    ) -> Callable[[Any, Context], Awaitable[bytes | None]]:
        """Authenticate, authorise, bound and measure around what parses and does the work."""
        of_call = self._identity.of_call
        require = permissions.require
        permission, budget = method.permission, self.budgets[method.admission]
        clock = self._clock
        audited, mutates = method.audited, method.kind == "mutation"
        frees = method.frees

        async def handle(given: Any, context: Context) -> bytes | None:
            began = clock()
            measures.started += 1
            call = Call(method, context, measures)
            try:
                call.principal = of_call(context.invocation_metadata() or (), context.peer)
                require(call.principal, permission)
                if mutates:
                    await self._audit.require(frees=frees)
                if budget.in_flight >= budget.most:
                    budget.refuse()
                budget.in_flight += 1
                try:
                    answer = await run(given, call)
                    if audited:
                        await self._note(call, "OK", "")
                finally:
                    budget.in_flight -= 1
            except asyncio.CancelledError:
                if call.ended_by is None:
                    measures.handled("CANCELLED", clock() - began)
                    if call.begun:
                        self._audit.leave(self._entry(call, "CANCELLED", "THE_CALLER_LEFT"))
                    raise
                await self._fail(call, call.ended_by, clock() - began)
                return None
            except Exception as error:  # noqa: BLE001 - every failure is told to the caller
                await self._fail(call, error, clock() - began)
                return None
            measures.handled("OK", clock() - began)
            return answer

        return handle

    def _unary(
        self,
        method: Method,
        request: type[Message],
        check: Callable[[Message], None],
        function: Callable[..., Any],
        look: Callable[..., Any] | None,
    ) -> Callable[[Any, Call], Awaitable[bytes]]:
        parse = _parser(request)
        if look is None and second_look.looks(method, request):
            look = function
        deadline_s = method.deadline_s
        awaits = inspect.iscoroutinefunction(function)
        audited = method.audited

        async def run(data: bytes, call: Call) -> bytes:
            measures = call.measures
            measures.received += 1
            call.request = message = parse(data)
            try:
                check(message)
            except InvalidInput as error:
                if look is None:
                    raise
                async with asyncio.timeout(deadline_s):
                    raise await second_look.look_on(error, message, call, look) from None
            if audited:
                await self._begin(call)
            if not awaits:
                answer = function(message, call)
            elif call.context.time_remaining() is None:
                async with asyncio.timeout(deadline_s):
                    answer = await function(message, call)
            else:
                answer = await function(message, call)
            measures.sent += 1
            return answer if answer.__class__ is bytes else answer.SerializeToString()

        return run

    def _stream(
        self,
        method: Method,
        request: type[Message],
        check: Callable[[Message], None],
        function: Callable[..., Any],
        look: Callable[..., Any] | None,
        *,
        takes_stream: bool,
    ) -> Callable[[Any, Call], Awaitable[bytes | None]]:
        audited = method.audited
        take = _taker(request, check)

        async def frames(given: AsyncIterator[bytes], call: Call) -> AsyncIterator[Message]:
            async for data in given:
                message = take(data, call)
                if audited and not call.begun:
                    await self._begin(call)
                yield message

        async def run(given: Any, call: Call) -> bytes | None:
            call.task = asyncio.current_task()
            self.streams.add(call)
            try:
                if takes_stream:
                    asked: Any = frames(given, call)
                else:
                    asked = await _taken(take, given, call, look)
                if audited and not takes_stream:
                    await self._begin(call)
                answer = await function(asked, call)
            finally:
                self.streams.discard(call)
                call.task = None
            if answer is None:
                if call.trailing:
                    call.context.set_trailing_metadata(call.trailing)
                return None
            call.measures.sent += 1
            data: bytes = answer.SerializeToString()
            return data

        return run

    # -- the audit ---------------------------------------------------------------------------

    async def _begin(self, call: Call) -> None:
        """Have it on disk that this is about to be done; what is only tried out does nothing.

        Raises NoRoom for a mutation if it is not on disk. What only reads goes on all the same.
        """
        if getattr(call.request, "validate_only", False):
            return
        call.begun = self._new_id()
        try:
            await self._audit.begin(self._entry(call, audit.BEGUN, ""), frees=call.method.frees)
        except NoRoom:
            if call.method.kind == "mutation":
                raise

    # -- refusing ----------------------------------------------------------------------------

    async def _fail(self, call: Call, error: BaseException, seconds: float) -> None:
        """Count, audit and answer a failure; ends by gRPC's own exception."""
        told = _told(error)
        if told is None:
            marked = self._new_id()
            logger.error("%s failed (%s)", call.method.path, marked, exc_info=error)
            answer, code = status.of_bug(marked), grpc.StatusCode.INTERNAL
        else:
            if names.is_uid(told.subject) and call.resource:
                # Hosts know no names; who calls knows no uids.
                told.subject = call.resource
            answer, code = status.status_of(told), status.code_of(told)
        call.measures.handled(code.name, seconds)
        # What was turned away unread has tried nothing: it is only counted.
        if code in _REFUSALS or (call.method.audited and call.request is not None):
            await self._note(call, code.name, told.reason_text if told else "INTERNAL")
        trailing: tuple[tuple[str, str | bytes], ...] = (
            (status.DETAILS_KEY, answer.SerializeToString()),
            *call.trailing,
        )
        if isinstance(told, Unavailable):
            trailing = (*trailing, (PUSHBACK, str(max(1, round(told.retry_after_s * 1000)))))
        await _abort(call.context, code, answer, trailing)

    async def _note(self, call: Call, code: str, reason: str) -> None:
        await self._audit.note(self._entry(call, code, reason))

    def _entry(self, call: Call, code: str, reason: str) -> audit.Entry:
        request, principal = call.request, call.principal
        most = limits.AUDIT_TEXT_CHARACTERS
        return audit.Entry(
            at=self._utc(),
            principal=principal.name,
            method=call.method.path,
            code=code,
            peer=call.context.peer()[:most],
            token=principal.token,
            resource=(call.resource or audit.resource_of(request))[:most],
            request_id=getattr(request, "request_id", "")[:most],
            operation=call.operation,
            reason=reason,
            validate_only=getattr(request, "validate_only", False),
            id=call.begun,
        )


def _taker(
    request: type[Message], check: Callable[[Message], None]
) -> Callable[[bytes, Call], Message]:
    parse = _parser(request)

    def take(data: bytes, call: Call) -> Message:
        call.measures.received += 1
        message = parse(data)
        if call.request is None:
            call.request = message
        check(message)
        return message

    return take


async def _taken(
    take: Callable[[bytes, Call], Message],
    data: bytes,
    call: Call,
    look: Callable[..., Any] | None,
) -> Message:
    """Take the one request of a stream; `look` says what else is wrong with one that is refused."""
    try:
        return take(data, call)
    except InvalidInput as error:
        if look is None or call.request is None:
            raise
        raise await second_look.look_on(error, call.request, call, look) from None


def _parser(request: type[Message]) -> Callable[[bytes], Message]:
    def parse(data: bytes) -> Message:
        try:
            return request.FromString(data)
        except DecodeError:
            name = request.DESCRIPTOR.name
            wanted = f"a {name} in protobuf's wire format, its texts in UTF-8"
            raise InvalidInput(name, (Violation("", wanted),)) from None

    return parse


def _told(error: BaseException) -> FifoError | None:
    """Give an error as callers are told it; None for a bug."""
    match error:
        case FifoError():
            # The root itself is raised for what nobody foresaw: its text is not for callers.
            return error if type(error) is not FifoError else None
        case TimeoutError():
            return DeadlineExceeded(
                "it was not done in time", "", "look whether it was done, or give it more time"
            )
        case SupervisorsError():
            logger.warning("A call met a process that could not answer: %s", error)
            return Unavailable("a part of the node is being restarted", reason="RESTARTING")
    return None


async def _abort(
    context: Context,
    code: grpc.StatusCode,
    answer: status_pb2.Status,
    trailing: tuple[tuple[str, str | bytes], ...],
) -> None:
    await context.abort(code, answer.message, trailing)


_KINDS: Final = MappingProxyType(
    {
        (False, False): "unary_unary",
        (False, True): "unary_stream",
        (True, False): "stream_unary",
        (True, True): "stream_stream",
    }
)
_REFUSALS: Final = frozenset({grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED})
"""What the audit is told of whatever the method: somebody tried what is not theirs."""
