"""SupervisionService: the tree of processes of this node, and its changes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

from fifo.api.resources.values import set_time
from fifo.model.errors import NotFound
from fifo.v1 import supervision_service_pb2
from supervisors import CallExit
from supervisors.observe.feed import OVERFLOW

if TYPE_CHECKING:
    from fifo.api.backend import Backend
    from fifo.api.calls import Call
    from supervisors.observe.feed import Change, Feed
    from supervisors.observe.snapshot import LastCrash, Row, Snapshot, Supervision

Tree = supervision_service_pb2.Tree
TreeChange = supervision_service_pb2.TreeChange
Response = supervision_service_pb2.WatchTreeResponse
KINDS: Final = MappingProxyType(
    {
        "began": TreeChange.BEGAN,
        "ended": TreeChange.ENDED,
        "restarted": TreeChange.RESTARTED,
        "state": TreeChange.STATE,
    }
)
DEPTH: Final = 16
CHILDREN: Final = 100


class SupervisionService:
    """GetTree and WatchTree."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    async def get_tree(self, request: supervision_service_pb2.GetTreeRequest, call: Call) -> Tree:
        """Give the tree as it is now."""
        del call
        return await self._tree(request)

    async def watch_tree(
        self, request: supervision_service_pb2.WatchTreeRequest, call: Call
    ) -> None:
        """Send the tree, then its changes; after a lag the tree anew."""
        while True:
            feed = self._backend.node.observer.subscribe()
            try:
                tree = await self._tree(request)
                await call.send(Response(tree=tree))
                await self._follow(feed, tree.sequence, call)
            finally:
                feed.close()

    async def _follow(self, feed: Feed, known: int, call: Call) -> None:
        """Send changes that the tree has not; returns when the feed has overflowed."""
        while changes := await feed.read():
            response = Response()
            for change in changes:
                if change.kind == OVERFLOW:
                    return
                if change.sequence > known:
                    response.changes.changes.append(self._change(change))
            if response.changes.changes:
                await call.send(response)

    async def _tree(self, request: Any) -> Tree:
        root = request.root or None
        observer = self._backend.node.observer
        try:
            snapshot = await observer.snapshot(
                await self._registered(root),
                depth=request.depth if request.HasField("depth") else DEPTH,
                children=request.max_children if request.HasField("max_children") else CHILDREN,
            )
        except CallExit:
            raise NotFound(
                "no process of this name lives", request.root, "see the whole tree for names"
            ) from None
        return self._of(snapshot)

    async def _registered(self, text: str | None) -> Any:
        """Find what a text names: names may be any values, and are shown as texts."""
        node = self._backend.node
        if text is None or node.whereis(text) is not None:
            return text
        whole = await node.observer.snapshot()
        return next((row.pid for row in whole.rows if row.name == text and row.pid), text)

    def _of(self, snapshot: Snapshot) -> Tree:
        made = Tree(
            node=snapshot.node,
            creation=snapshot.creation,
            sequence=snapshot.sequence,
            process_count=snapshot.processes,
            root_count=snapshot.roots,
            run_queue=snapshot.run_queue,
            turns=snapshot.turns,
            processes=[self._row(row) for row in snapshot.rows],
        )
        set_time(made.time, self._utc(snapshot.at_s))
        return made

    def _row(self, row: Row) -> supervision_service_pb2.SupervisedProcess:
        made = supervision_service_pb2.SupervisedProcess(
            pid=_text(row.pid),
            parent=_text(row.parent),
            depth=row.depth,
            child_id=row.child_id or "",
            registered_name=row.name or "",
            class_name=row.class_name,
            state=row.state,
            mailbox=row.mailbox,
            memory_bytes=row.memory_bytes,
            reductions=row.reductions,
            link_count=row.links,
            child_count=row.children,
        )
        if row.restarts is not None:
            made.restarts = row.restarts
        if row.last_crash is not None:
            self._crash(made.last_crash, row.last_crash)
        if row.supervision is not None:
            self._supervision(made.supervision, row.supervision)
        return made

    def _supervision(self, into: supervision_service_pb2.Supervision, own: Supervision) -> None:
        into.strategy = own.strategy
        into.intensity = own.intensity
        into.period_seconds = own.period_s
        into.used = own.used
        into.restarts = own.restarts
        if own.last_crash is not None:
            self._crash(into.last_crash, own.last_crash)

    def _crash(self, into: supervision_service_pb2.Crash, own: LastCrash) -> None:
        into.reason = own.reason
        set_time(into.time, self._utc(own.at_s))

    def _change(self, change: Change) -> TreeChange:
        made = TreeChange(
            sequence=change.sequence,
            type=KINDS[change.kind],
            pid=_text(change.pid),
            parent=_text(change.parent),
            class_name=change.class_name or "",
            registered_name=change.name or "",
            child_id=change.child_id or "",
            state=change.state or "",
            reason=change.reason or "",
            restarts=change.restarts,
        )
        set_time(made.time, self._utc(change.at_s))
        return made

    def _utc(self, at_s: float) -> float:
        """Give the UTC second of a moment by the node's clock."""
        return self._backend.now() - (self._backend.node.shard.now_s() - at_s)


def _text(value: Any) -> str:
    return "" if value is None else str(value)
