"""A watch that outlives its stream: it goes on from the last token, with no gap or repetition."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import grpc

from fifo.v1 import event_service_pb2

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Open = Callable[[event_service_pb2.WatchRequest], Iterator[event_service_pb2.WatchResponse]]

GIVE_UP_S: Final = 600.0
"""Without a frame for so long a watch ends with the error: a node that restarts is back earlier."""
FIRST_PAUSE_S: Final = 0.1
MOST_PAUSE_S: Final = 5.0
TOKEN_KEY: Final = "fifo-resume-token"  # noqa: S105 - the name of a metadata entry
AGAIN: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.RESOURCE_EXHAUSTED})
"""Ends of a stream that say nothing against the next one: the node went, or we read too slowly."""


def again(
    begin: Callable[[], Iterator[Any]],
    say: Callable[[str], None],
    now: Callable[[], float],
    sleep: Callable[[float], None],
) -> Iterator[Any]:
    """Give a stream's frames, and begin it anew where the node went away, with a word of it.

    What comes of that twice or never is for `begin` to know. Raises the stream's error when it is
    for good, or nothing came for GIVE_UP_S.
    """
    heard, pause_s = now(), FIRST_PAUSE_S
    while True:
        try:
            for frame in begin():
                heard, pause_s = now(), FIRST_PAUSE_S
                yield frame
        except grpc.RpcError as error:
            code = error.code()
            if code not in AGAIN or now() - heard > GIVE_UP_S:
                raise
            if pause_s == FIRST_PAUSE_S:
                say("the connection broke; trying to go on")
        else:
            return
        sleep(pause_s)
        pause_s = min(MOST_PAUSE_S, 2 * pause_s)


def to_stderr(text: str) -> None:
    """Say something beside the output."""
    print(f"fifo: {text}", file=sys.stderr, flush=True)


class Batch(NamedTuple):
    """Events that belong together; `fresh` ones are all there is, in place of what was told."""

    events: list[Any]
    fresh: bool


def _token_of(error: Any) -> str:
    """Read the token of a stream's end."""
    for key, value in error.trailing_metadata() or ():
        if key == TOKEN_KEY:
            return value.decode() if isinstance(value, bytes) else str(value)
    return ""


class Following:
    """One watch from its snapshot on; `now` and `sleep` are the monotonic clock's, in seconds."""

    def __init__(
        self,
        begin: Open,
        request: event_service_pb2.WatchRequest,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._begin = begin
        self._request = request
        self._now = now
        self._sleep = sleep
        self._heard = now()
        self._pause_s = FIRST_PAUSE_S

    def batches(self) -> Iterator[Batch]:
        """Give what there is, then each change; raises the stream's error when it is for good."""
        token = ""
        while True:
            request = event_service_pb2.WatchRequest()
            request.CopyFrom(self._request)
            if token:
                request.resume_token = token
            else:
                request.snapshot = True
            gathered: list[Any] | None = None if token else []
            try:
                for frame in self._begin(request):
                    self._heard, self._pause_s = self._now(), FIRST_PAUSE_S
                    if gathered is not None:
                        gathered += frame.events
                        if not frame.snapshot_done:
                            continue
                        token = frame.resume_token
                        yield Batch(gathered, fresh=True)
                        gathered = None
                        continue
                    token = frame.resume_token or token
                    if frame.events:
                        yield Batch(list(frame.events), fresh=False)
            except grpc.RpcError as error:
                token = self._after(error, token, told=gathered is None)
            self._rest()

    def _after(self, error: Any, token: str, *, told: bool) -> str:
        """Give the token to go on from after a stream's end; raises what is for good."""
        code = error.code()
        if code == grpc.StatusCode.OUT_OF_RANGE and token:
            print("fifo: the history is gone; all there is again:", file=sys.stderr)
            return ""
        if code not in AGAIN or self._now() - self._heard > GIVE_UP_S:
            raise error
        # The token at the end covers what had no frame, but nothing of a snapshot in pieces.
        return (_token_of(error) or token) if told else token

    def _rest(self) -> None:
        self._sleep(self._pause_s)
        self._pause_s = min(MOST_PAUSE_S, 2 * self._pause_s)
