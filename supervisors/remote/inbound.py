"""What the frames of a peer do here: one function a kind, in the order the frames arrive.

Runs on the shard's thread between turns. Messages go to mailboxes, signals act at once, as between
processes of one node. Nothing a peer sends can raise here: what cannot be read is answered, or
counted and kept as a dead letter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from supervisors._pykka import ActorStop
from supervisors.errors import CallExit, PayloadError, RemoteError
from supervisors.future import ERROR, VALUE, Future
from supervisors.messages import ASK, CALL, CAST, INFO, PYKKA
from supervisors.pid import Pid
from supervisors.reasons import NOPROC, Crash, Opaque
from supervisors.remote import frames
from supervisors.remote.peers import Watcher
from supervisors.signals import exit_signal, linked_exit, watch

if TYPE_CHECKING:
    from collections.abc import Callable

    from supervisors.process import Process
    from supervisors.ref import Ref
    from supervisors.remote.distribution import Distribution
    from supervisors.remote.frames import Address, Frame
    from supervisors.remote.peers import Peer


def act(here: Distribution, peer: Peer, frame: Frame) -> None:
    """Do what a frame says."""
    _ACTIONS[frame.__class__](here, peer, frame)


def _process(here: Distribution, to: Address) -> Process | None:
    """Find whom a frame is for, by serial or by registered name."""
    if to.__class__ is int:
        return here.node.shard.processes.get(to)
    try:
        ref = _named(here, to)
    except PayloadError:
        here.counts["unreadable"] += 1
        return None
    return ref._process if ref is not None else None


def _named(here: Distribution, name: Any) -> Ref[Any] | None:
    decoded = here.payloads.decode(name.encoded, here)
    try:
        return here.node.whereis(decoded)
    except TypeError as error:
        raise PayloadError(f"{decoded!r} cannot be a name: {error}") from None


def _far(here: Distribution, peer: Peer, serial: int) -> Any:
    """Make the ref of a process of the peer."""
    return here.address(Pid(peer.name, peer.creation, serial))


# -- messages --------------------------------------------------------------------------------


def _message(here: Distribution, peer: Peer, frame: frames.Tell | frames.Cast) -> None:
    shard = here.node.shard
    try:
        message = here.payloads.decode(frame.message, here)
    except PayloadError:
        here.counts["unreadable"] += 1
        here.node.dead_letters.record(f"from {peer.name}", frame.message, "unreadable")
        return
    process = _process(here, frame.to)
    if process is None:
        here.node.dead_letters.record(f"from {peer.name}", message, "dead")
    elif frame.__class__ is frames.Cast:
        shard.post(process, CAST, message, None)
    else:
        shard.post(process, PYKKA if message.__class__ is ActorStop else INFO, message, None)


class _Owed(Future[Any]):
    """The answer that a peer waits for: what goes wrong when it is told is the answerer's error."""

    __slots__ = ()

    def _tell(self, callback: Callable[[Future[Any]], None]) -> None:
        callback(self)


def _request(here: Distribution, peer: Peer, frame: frames.Call | frames.Ask) -> None:
    try:
        message = here.payloads.decode(frame.message, here)
    except PayloadError as error:
        here.counts["unreadable"] += 1
        _send_error(here, peer, frame.request, error)
        return
    process = _process(here, frame.to)
    if process is None:
        _send_exit(here, peer, frame.request, NOPROC)
        return
    shard = here.node.shard
    future = _Owed(shard, process.ref)
    asked = frame.__class__ is frames.Ask
    future.add_done_callback(
        lambda settled: _answer(here, peer, frame.request, settled, asked=asked)
    )
    shard.post(process, ASK if asked else CALL, message, future)


def _answer(
    here: Distribution, peer: Peer, request: int, future: Future[Any], *, asked: bool
) -> None:
    """Send what a request was answered with; called by whoever answered it, on any thread.

    A reply that cannot cross is the replier's error, raised there; the caller learns that it
    crashed. Of an ask it is the asker's, as every exception is (Pykka).
    """
    try:
        value = future.result()
    except CallExit as error:
        _send_exit(here, peer, request, error.reason)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the caller's
        _send_error(here, peer, request, error)
    else:
        try:
            data = here.payloads.encode(value)
        except PayloadError as error:
            if asked:
                _send_error(here, peer, request, error)
                return
            _send_exit(here, peer, request, Crash(error))
            raise
        _send_answer(here, peer, frames.Answer(request, frames.OK, data))


def _send_answer(here: Distribution, peer: Peer, frame: frames.Answer) -> None:
    def send() -> None:
        here.send(peer, frame)

    here.node.shard.run_on_shard(send)


def _send_exit(here: Distribution, peer: Peer, request: int, reason: Any) -> None:
    data = here.payloads.encode_reason(reason)
    _send_answer(here, peer, frames.Answer(request, frames.EXIT, data))


def _send_error(here: Distribution, peer: Peer, request: int, error: Exception) -> None:
    data = here.payloads.encode_reason(error)
    _send_answer(here, peer, frames.Answer(request, frames.ERROR, data))


def _lookup(here: Distribution, peer: Peer, frame: frames.Lookup) -> None:
    try:
        found = _named(here, frame.name)
    except PayloadError as error:
        _send_error(here, peer, frame.request, error)
    else:
        answer = frames.Answer(frame.request, frames.OK, here.payloads.encode(found))
        here.send(peer, answer)


def _answered(here: Distribution, peer: Peer, frame: frames.Answer) -> None:
    future = peer.calls.pop(frame.request, None)
    if future is None:
        here.counts["late_answers"] += 1
        return
    if frame.outcome == frames.EXIT:
        reason = here.payloads.decode_reason(frame.value, here)
        future.resolve(ERROR, CallExit(future._target, reason))
        return
    try:
        value = here.payloads.decode(frame.value, here)
    except PayloadError as error:
        here.counts["unreadable"] += 1
        future.resolve(ERROR, error)
        return
    if frame.outcome == frames.OK:
        future.resolve(VALUE, value)
    elif isinstance(value, Exception):
        future.resolve(ERROR, value)
    else:
        name, text = (
            (value.type_name, value.text) if isinstance(value, Opaque) else ("?", repr(value))
        )
        future.resolve(ERROR, RemoteError(name, text))


# -- signals ---------------------------------------------------------------------------------


def _exit(here: Distribution, peer: Peer, frame: frames.Exit) -> None:
    process = _process(here, frame.to)
    if process is not None:
        sender = _far(here, peer, frame.sender) if frame.sender else None
        reason = here.payloads.decode_reason(frame.reason, here)
        exit_signal(process, sender, reason, by_link=False)


def _link(here: Distribution, peer: Peer, frame: frames.Link) -> None:
    """Note a link; one that crosses our unlinking of it is of the link that was taken away."""
    ref = _far(here, peer, frame.sender)
    process = _process(here, frame.to)
    if process is None:
        data = here.payloads.encode_reason(NOPROC)
        here.send(peer, frames.LinkedExit(frame.sender, frame.to, data))
        return
    key = (frame.to, ref.pid)
    if key not in peer.unlinking and key not in peer.links:
        peer.links[key] = (process, ref)
        extras = process.extras
        if extras.links is None:
            extras.links = {}
        extras.links[ref] = None


def _unlink(here: Distribution, peer: Peer, frame: frames.Unlink) -> None:
    ref = _far(here, peer, frame.sender)
    found = peer.links.pop((frame.to, ref.pid), None)
    if found is not None and found[0].is_running():
        links = found[0].extras.links
        if links is not None:
            links.pop(ref, None)
    here.send(peer, frames.Unlinked(frame.sender, frame.to, frame.number))


def _unlinked(here: Distribution, peer: Peer, frame: frames.Unlinked) -> None:
    key = (frame.to, _far(here, peer, frame.sender).pid)
    if peer.unlinking.get(key) == frame.number:
        del peer.unlinking[key]


def _linked_exit(here: Distribution, peer: Peer, frame: frames.LinkedExit) -> None:
    found = peer.links.pop((frame.to, _far(here, peer, frame.sender).pid), None)
    if found is not None:
        process, ref = found
        linked_exit(process, ref, here.payloads.decode_reason(frame.reason, here))


def _monitor(here: Distribution, peer: Peer, frame: frames.Monitor) -> None:
    process = _process(here, frame.to)
    if process is None:
        here.send(peer, frames.Down(frame.number, here.payloads.encode_reason(NOPROC)))
        return
    watcher = Watcher(here, peer, frame.number, process)
    peer.watchers[frame.number] = watcher
    watch(process, watcher)


def _demonitor(here: Distribution, peer: Peer, frame: frames.Demonitor) -> None:
    del here
    watcher = peer.watchers.get(frame.number)
    if watcher is not None:
        watcher.forget()


def _down(here: Distribution, peer: Peer, frame: frames.Down) -> None:
    found = peer.monitors.pop(frame.number, None)
    if found is not None:
        monitor, address = found
        del peer.numbers[monitor]
        monitor.fire(address.shown, here.payloads.decode_reason(frame.reason, here))


# -- process groups --------------------------------------------------------------------------


def _group(here: Distribution, encoded: bytes) -> tuple[bool, Any]:
    try:
        group = here.payloads.decode(encoded, here)
        hash(group)
    except (PayloadError, TypeError):
        here.counts["unreadable"] += 1
        return False, None
    return True, group


def _members(here: Distribution, peer: Peer, frame: frames.Members) -> None:
    for encoded, serials in frame.groups:
        readable, group = _group(here, encoded)
        for serial in serials if readable else ():
            here.node.groups.remote_joined(group, _far(here, peer, serial))


def _join(here: Distribution, peer: Peer, frame: frames.Join) -> None:
    readable, group = _group(here, frame.group)
    if readable:
        here.node.groups.remote_joined(group, _far(here, peer, frame.member))


def _leave(here: Distribution, peer: Peer, frame: frames.Leave) -> None:
    readable, group = _group(here, frame.group)
    for _ in range(frame.times if readable else 0):
        here.node.groups.remote_left(group, _far(here, peer, frame.member))


_ACTIONS: Final[dict[type[Frame], Callable[[Distribution, Peer, Any], None]]] = {
    frames.Tell: _message,
    frames.Cast: _message,
    frames.Call: _request,
    frames.Ask: _request,
    frames.Lookup: _lookup,
    frames.Answer: _answered,
    frames.Exit: _exit,
    frames.Link: _link,
    frames.Unlink: _unlink,
    frames.Unlinked: _unlinked,
    frames.LinkedExit: _linked_exit,
    frames.Monitor: _monitor,
    frames.Demonitor: _demonitor,
    frames.Down: _down,
    frames.Members: _members,
    frames.Join: _join,
    frames.Leave: _leave,
}
"""What each kind of frame does."""
