"""A channel that answers at once and remembers what it was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, Self

import grpc

if TYPE_CHECKING:
    from collections.abc import Iterator


class Ended(grpc.RpcError):
    """The end of a stream, or of a call."""

    def __init__(self, code: grpc.StatusCode, trailing: tuple[tuple[str, str], ...] = ()) -> None:
        super().__init__(code)
        self._code = code
        self._trailing = trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._code.name

    def trailing_metadata(self) -> Any:
        return self._trailing


class Answered:
    """What a call gives whose answer is awaited elsewhere."""

    def __init__(self, answer: Any) -> None:
        self._answer = answer

    def result(self) -> Any:
        return self._answer


class Callable(NamedTuple):
    """A method that is called, or asked to answer later."""

    call: Any
    future: Any

    def __call__(self, request: Any, **given: Any) -> Any:
        return self.call(request, **given)


class FakeChannel:
    """Every answer is empty but those given by path: messages, errors, functions of requests."""

    def __init__(self, answers: dict[str, Any] | None = None) -> None:
        self.answers = answers or {}
        self.asked: list[tuple[str, Any]] = []

    @property
    def paths(self) -> set[str]:
        return {path for path, _ in self.asked}

    def close(self) -> None:
        pass

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def _answer(self, path: str, request: Any, given: dict[str, Any]) -> Any:
        self.asked.append((path, request))
        answer = self.answers.get(path)
        if isinstance(answer, Exception):
            raise answer
        if callable(answer):
            return answer(request)
        return given["response_deserializer"](b"") if answer is None else answer

    def unary_unary(self, path: str, **given: Any) -> Any:
        def call(request: Any, **_: Any) -> Any:
            return self._answer(path, request, given)

        def future(request: Any, **_: Any) -> Answered:
            return Answered(call(request))

        return Callable(call, future)

    def unary_stream(self, path: str, **given: Any) -> Any:
        def call(request: Any, **_: Any) -> Iterator[Any]:
            return iter([self._answer(path, request, given)])

        return call

    def stream_unary(self, path: str, **given: Any) -> Any:
        def call(requests: Any, **_: Any) -> Any:
            return self._answer(path, list(requests), given)

        return call

    def stream_stream(self, path: str, **given: Any) -> Any:
        def call(requests: Any, **_: Any) -> Iterator[Any]:
            return iter([self._answer(path, next(iter(requests)), given)])

        return call
