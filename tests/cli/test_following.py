"""A watch goes on where its stream broke: nothing is told twice, nothing is left out."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.cli import inside
from fifo.cli.following import GIVE_UP_S, TOKEN_KEY, Following, again
from fifo.v1 import event_service_pb2 as messages
from fifo.v1 import instance_service_pb2
from tests.cli.fake_channel import Ended

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.cli.conftest import Run
    from tests.cli.fake_channel import FakeChannel

    Begin = Callable[[messages.WatchRequest], Iterator[messages.WatchResponse]]

CODE = grpc.StatusCode
FOR_GOOD = Ended(CODE.PERMISSION_DENIED)


class Log:
    """A server with numbered changes, whose streams break after so many frames each."""

    def __init__(self, changes: int, breaks: list[int], code: grpc.StatusCode) -> None:
        self.changes = changes
        self.breaks = breaks
        self.code = code
        self.asked: list[messages.WatchRequest] = []

    def begin(self, request: messages.WatchRequest) -> Iterator[messages.WatchResponse]:
        self.asked.append(request)
        room = self.breaks.pop(0) if self.breaks else 10**6
        position = int(request.resume_token or 0)
        if request.snapshot:
            # A snapshot comes in two frames, of which the first is not to be gone on from.
            for frame in (frame_of("a"), frame_of("b", seen="0", done=True)):
                room -= 1
                if room < 0:
                    raise Ended(self.code)
                yield frame
        while position < self.changes:
            room -= 1
            if room < 0:
                raise Ended(self.code, ((TOKEN_KEY, str(position)),))
            position += 1
            yield frame_of(str(position), seen=str(position))
        raise FOR_GOOD


def frame_of(name: str, *, seen: str = "", done: bool = False) -> messages.WatchResponse:
    frame = messages.WatchResponse(resume_token=seen, snapshot_done=done)
    frame.events.add(name=name)
    return frame


def told(begin: Begin) -> list[str]:
    now = [0.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    names: list[str] = []
    following = Following(begin, messages.WatchRequest(), lambda: now[0], sleep)
    try:
        for batch in following.batches():
            names = names if not batch.fresh else []
            names += [event.name for event in batch.events]
    except Ended as ended:
        return names if ended is FOR_GOOD or now[0] > GIVE_UP_S else ["ended too early"]
    return names


@given(
    breaks=st.lists(st.integers(min_value=0, max_value=4), max_size=8),
    code=st.sampled_from([CODE.UNAVAILABLE, CODE.RESOURCE_EXHAUSTED]),
)
def test_whatever_breaks_all_is_told_once_and_in_order(
    breaks: list[int], code: grpc.StatusCode
) -> None:
    log = Log(5, list(breaks), code)
    assert told(log.begin) == ["a", "b", "1", "2", "3", "4", "5"]
    assert len(log.asked) <= len(breaks) + 1


def test_history_that_is_gone_is_told_as_all_there_is() -> None:
    log = Log(2, [], CODE.UNAVAILABLE)
    streams: list[list[messages.WatchResponse | Ended]] = [
        [frame_of("a", seen="7", done=True), Ended(CODE.UNAVAILABLE)],
        [Ended(CODE.OUT_OF_RANGE)],
    ]

    def begin(request: messages.WatchRequest) -> Iterator[messages.WatchResponse]:
        if not streams:
            yield from log.begin(request)
        for what in streams.pop(0):
            if isinstance(what, Exception):
                raise what
            yield what

    assert told(begin) == ["a", "b", "1", "2"]


def test_a_node_that_stays_away_ends_the_watch() -> None:
    def begin(request: messages.WatchRequest) -> Iterator[messages.WatchResponse]:
        del request
        raise Ended(CODE.UNAVAILABLE)

    assert told(begin) == []


def test_a_stream_without_tokens_is_begun_again_with_a_word_of_each_break() -> None:
    now, said, begun = [0.0], list[str](), list[int]()

    def begin() -> Iterator[int]:
        begun.append(len(begun))
        if len(begun) in {2, 3}:
            raise Ended(CODE.UNAVAILABLE)
        yield len(begun)
        if len(begun) == 1:
            raise Ended(CODE.UNAVAILABLE)

    def sleep(seconds: float) -> None:
        now[0] += seconds

    assert list(again(begin, said.append, lambda: now[0], sleep)) == [1, 4]
    assert said == ["the connection broke; trying to go on"]


def test_a_stream_that_stays_away_or_is_refused_ends_with_its_error() -> None:
    now, said = [0.0], list[str]()

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def begin(code: grpc.StatusCode) -> Iterator[int]:
        if code is not CODE.OK:
            raise Ended(code)
        yield 0

    with pytest.raises(Ended):
        list(again(lambda: begin(CODE.UNAVAILABLE), said.append, lambda: now[0], sleep))
    assert GIVE_UP_S < now[0] < 2 * GIVE_UP_S
    with pytest.raises(Ended):
        list(again(lambda: begin(CODE.NOT_FOUND), said.append, lambda: now[0], sleep))


def test_a_log_that_broke_off_is_asked_for_behind_what_was_shown(
    run: Run, channel: FakeChannel, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown = bytearray()
    monkeypatch.setattr(inside, "_write", lambda _, data: shown.extend(data))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    asked: list[bytes] = []

    def answer(request: Any) -> Any:
        asked.append(request.seen)
        if len(asked) == 2:
            raise Ended(CODE.UNAVAILABLE)
        return instance_service_pb2.ReadInstanceLogsResponse(data=b"%d\n" % len(asked))

    channel.answers["/fifo.v1.InstanceService/ReadInstanceLogs"] = answer
    run("instance", "logs", "web")
    assert (asked, bytes(shown)) == ([b""], b"1\n")
    run("instance", "logs", "--follow", "web")
    assert (asked, bytes(shown)) == ([b"", b"", b""], b"1\n3\n")
