"""The binding of the table of methods to the functions that serve them, and to gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from google.protobuf import descriptor_pool, message_factory

from fifo.api.door import handler_name
from fifo.api.methods import METHODS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from google.protobuf.message import Message

    from fifo.api.door import Door
    from fifo.api.methods import Method

    Handlers = dict[str, grpc.RpcMethodHandler[Any, Any]]


class Router(grpc.GenericRpcHandler):
    """Finds the handler of a call by one look-up."""

    def __init__(self, handlers: Handlers) -> None:
        self._handlers = handlers

    def service(
        self, handler_call_details: grpc.HandlerCallDetails
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Give the handler; None makes gRPC answer UNIMPLEMENTED."""
        return self._handlers.get(handler_call_details.method)


def bind(door: Door, services: Mapping[str, tuple[object, ...]]) -> Handlers:
    """Make the handlers of all methods; raises LookupError for one that nobody serves."""
    handlers: Handlers = {}
    pool = descriptor_pool.Default()
    for method in METHODS:
        described = pool.FindServiceByName(method.service).methods_by_name[method.name]
        request: type[Message] = message_factory.GetMessageClass(described.input_type)
        handlers[method.path] = door.handler(
            method,
            request,
            _function(method, served := services.get(method.service, ())),
            takes_stream=described.client_streaming,
            gives_stream=described.server_streaming,
            look=_named(f"check_{handler_name(method.name)}", served),
        )
    return handlers


def _function(method: Method, objects: tuple[object, ...]) -> Callable[..., Any]:
    name = handler_name(method.name)
    if (function := _named(name, objects)) is not None:
        return function
    raise LookupError(f"nobody serves {method.path}: write {name} in fifo/api/services")


def _named(name: str, objects: tuple[object, ...]) -> Callable[..., Any] | None:
    found = (getattr(one, name, None) for one in objects)
    return next((function for function in found if function is not None), None)
