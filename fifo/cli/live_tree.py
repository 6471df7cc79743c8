"""`fifo tree --watch`: on a terminal the tree drawn again as it changes, else a line a change."""

from __future__ import annotations

import collections
import threading
import time
from typing import TYPE_CHECKING, Any, Final

import grpc

from fifo.cli.following import AGAIN, GIVE_UP_S, again, to_stderr
from fifo.cli.output import as_dict, show_value
from fifo.cli.screen import Screen
from fifo.cli.trees import change_line, tree_lines
from fifo.v1 import supervision_service_pb2, supervision_service_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import Callable

    from fifo.cli.client import Client

LATEST: Final = 8
"""Changes shown below the tree."""
LOOK_S: Final = 0.5
"""At most so often the tree is drawn again."""


def print_changes(client: Client, output: str, request: Any) -> None:
    """Print the tree and then each change of it, until interrupted."""
    stub = supervision_service_pb2_grpc.SupervisionServiceStub(client.channel)
    for frame in again(
        lambda: client.stream(stub.WatchTree, request), to_stderr, time.monotonic, time.sleep
    ):
        if output in {"json", "yaml"}:
            show_value(output, as_dict(frame))
            continue
        if frame.HasField("tree"):
            print("\n".join(tree_lines(frame.tree)))
        for change in frame.changes.changes:
            print(change_line(change), flush=True)


def follow(client: Client, output: str, request: Any) -> None:
    """Draw the tree and its latest changes until q or Ctrl-C; prints them where none looks."""
    with Screen() as screen:
        if not screen.drawn:
            print_changes(client, output, request)
            return
        stub = supervision_service_pb2_grpc.SupervisionServiceStub(client.channel)
        look = supervision_service_pb2.GetTreeRequest(
            root=request.root, depth=request.depth, max_children=request.max_children
        )
        changes = Changes(lambda: client.stream(stub.WatchTree, request))
        tree: list[str] = []
        heard = time.monotonic()
        while True:
            note = []
            try:
                tree = list(tree_lines(client.call(stub.GetTree, look)))
                heard = time.monotonic()
            except grpc.RpcError as error:
                if error.code() not in AGAIN or time.monotonic() - heard > GIVE_UP_S:
                    raise
                note = ["the node does not answer; trying again. What it was:", ""]
            screen.show([*note, *changes.below(tree)])
            if not screen.wait(LOOK_S) or changes.error is not None:
                break
        changes.end()
    if changes.error is not None:
        raise changes.error


class Changes:
    """The latest changes of a tree, gathered by a thread of its own."""

    def __init__(self, begin: Callable[[], Any]) -> None:
        self._begin = begin
        self._stream: Any = None
        self._ended = threading.Event()
        self._latest: collections.deque[str] = collections.deque(maxlen=LATEST)
        self.error: grpc.RpcError | None = None
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def below(self, tree: list[str]) -> list[str]:
        """Give a page: what became of it last, over the tree, which may be longer than a page."""
        told = list(self._latest)
        return [*told, "", *tree] if told else tree

    def end(self) -> None:
        """Gather no more."""
        self._ended.set()
        if self._stream is not None:
            self._stream.cancel()
        self._thread.join()

    def _read(self) -> None:
        def begin() -> Any:
            self._stream = self._begin()
            if self._ended.is_set():
                self._stream.cancel()
            return self._stream

        def rest(seconds: float) -> None:
            self._ended.wait(seconds)

        try:
            for frame in again(begin, lambda _: None, time.monotonic, rest):
                self._latest.extend(change_line(change) for change in frame.changes.changes)
        except grpc.RpcError as error:
            if error.code() != grpc.StatusCode.CANCELLED:
                self.error = error
