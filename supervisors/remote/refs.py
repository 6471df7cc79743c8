"""Refs to processes of other nodes, and addresses of names there.

They have Pykka's and OTP's verbs like any ref, and no process behind them here: what they do goes
to the node's `Distribution`, which turns it into frames. A message is encoded when it is sent, on
the sender's thread, so what cannot cross raises PayloadError there and then.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Never

import pykka

from supervisors import context, limits
from supervisors._pykka import PYKKA_MESSAGES, ActorStop
from supervisors.errors import NotLocal, WouldDeadlock
from supervisors.future import ERROR, VALUE, Future
from supervisors.process import Process
from supervisors.reasons import KILL
from supervisors.ref import Ref
from supervisors.remote import frames

if TYPE_CHECKING:
    from supervisors.pid import Pid
    from supervisors.remote.distribution import Distribution
    from supervisors.signals import Monitor


class RemoteInbox:
    """What stands where Pykka has a queue: turns envelopes into messages to the other node."""

    __slots__ = ("_address",)

    def __init__(self, address: RemoteAddress) -> None:
        self._address = address

    def put(self, envelope: Any, /) -> None:
        """Send one of Pykka's envelopes, as a tell or as an ask."""
        if envelope.reply_to is None:
            self._address.tell(envelope.message)
            return

        def hand_over(answer: Future[Any]) -> None:
            try:
                value = answer.result()
            except Exception:  # noqa: BLE001 - whatever it is, it is the asker's
                envelope.reply_to.set_exception()
            else:
                envelope.reply_to.set(value)

        self._address.ask(envelope.message, block=False).add_done_callback(hand_over)

    def get(self) -> Never:
        """Refuse: the mailbox is on the other node."""
        raise NotLocal(f"the mailbox of {self._address} is on another node")

    def empty(self) -> bool:
        """Say that nothing waits here."""
        return True


class RemoteStopped:
    """What stands where Pykka has a threading.Event."""

    __slots__ = ("_address",)

    def __init__(self, address: RemoteAddress) -> None:
        self._address = address

    def is_set(self) -> bool:
        """Tell whether the process is out of reach."""
        return not self._address.is_alive()


class RemoteAddress(Ref[Any]):
    """What a `RemoteRef` and a `RemoteName` have in common; may be used from any thread."""

    __slots__ = ("distribution", "node_name")

    def __init__(self, distribution: Distribution, node_name: str) -> None:
        super().__init__(None)
        self.distribution = distribution
        self.node_name = node_name

    @property
    def to(self) -> frames.Address:
        """Whom a frame is for, on the node it goes to."""
        raise NotImplementedError

    @property
    def creation(self) -> int | None:
        """The incarnation of the node this is an address on, None for any."""
        raise NotImplementedError

    @property
    def shown(self) -> Any:
        """What a Down says it is about: the ref, or (name, node) as in OTP."""
        raise NotImplementedError

    def is_alive(self) -> bool:
        """Tell whether its node is there, in the incarnation it lived in; more needs a call."""
        return self.distribution.reaches(self)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self}>"

    # -- OTP's verbs -------------------------------------------------------------------------

    def cast(self, message: Any) -> None:
        """Send a request that wants no answer; if the node is not there it is a dead letter.

        Raises PayloadError for what cannot cross, MailboxFull (in a handler) when too much waits
        for the node already.
        """
        self.distribution.post(
            self, frames.Cast(self.to, self.distribution.payloads.encode(message)), message
        )

    def send(self, message: Any) -> None:
        """Send a plain message (Erlang's `!`); otherwise as `cast`."""
        self.distribution.post(
            self, frames.Tell(self.to, self.distribution.payloads.encode(message)), message
        )

    def call(self, message: Any, timeout_s: float | None = limits.CALL_TIMEOUT_S) -> Future[Any]:
        """Send a request and give a future of its answer: await it in a handler.

        It fails with CallExit: `noproc` if there is no such process, `noconnection` if its node is
        not there or is lost first, else the reason it ended with; with CallTimeout, after which an
        answer is dropped; with MailboxFull if the process, or the link, refuses it. Raises
        PayloadError for what cannot cross.
        """
        data = self.distribution.payloads.encode(message)
        return self.distribution.request(
            self, lambda number: frames.Call(self.to, number, data), timeout_s
        )

    def exit(self, reason: Any) -> None:
        """Send an exit signal (`exit/2`); reason "kill" cannot be trapped."""
        self.distribution.exit(self, self.distribution.payloads.encode(reason))

    def kill(self) -> None:
        """End the process without asking it."""
        self.exit(KILL)

    # -- Pykka's verbs -----------------------------------------------------------------------

    @property
    def actor_class(self) -> type[Any]:  # type: ignore[override]
        """The class of all processes: which one it is only its node knows."""
        return Process

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The address as a URN."""
        return f"urn:remote:{self}"

    @property
    def actor_inbox(self) -> RemoteInbox:  # type: ignore[override]
        """A view of the mailbox that speaks Pykka's envelopes."""
        return RemoteInbox(self)

    @property
    def actor_stopped(self) -> RemoteStopped:  # type: ignore[override]
        """A view of the life of the process, as far as it is known here."""
        return RemoteStopped(self)

    def proxy(self) -> Never:
        """Refuse: a proxy looks into the object, which is on another node."""
        raise NotLocal(f"{self} is on another node and has no proxy here; call or ask it")

    def tell(self, message: Any) -> None:
        """Send a message without waiting."""
        if message.__class__ in PYKKA_MESSAGES and message.__class__ is not ActorStop:
            raise NotLocal(f"{self} is on another node: send it a message, not {message!r}")
        self.send(message)

    def ask(self, message: Any, *, block: bool = True, timeout: float | None = None) -> Any:
        """Send a message and wait for the answer, or with `block=False` give its future.

        An exception in the handler comes back and the process lives on (Pykka): as itself if its
        class is registered as a payload, as RemoteError otherwise. A process that is not there
        gives pykka.ActorDeadError. Raises WouldDeadlock when it would block inside a handler.
        """
        if block and context.running_shard() is not None:
            raise WouldDeadlock(
                f"asking {self} would block the thread of this node's handlers; "
                "use await ref.ask(message, block=False)"
            )
        data = self.distribution.payloads.encode(message)
        future = self.distribution.request(
            self, lambda number: frames.Ask(self.to, number, data), None
        )
        return future.get(timeout=timeout) if block else future

    def stop(self, *, block: bool = True, timeout: float | None = None) -> Any:
        """Ask the process to stop after the messages it has; True if it was alive (Pykka)."""
        asked = self.ask(ActorStop(), block=False)
        future: Future[bool] = Future(self.distribution.node.shard)

        def settle(answer: Future[Any]) -> None:
            try:
                answer.result()
            except pykka.ActorDeadError:
                future.resolve(VALUE, value=False)
            except Exception as error:  # noqa: BLE001 - whatever went wrong is the asker's to see
                future.resolve(ERROR, error)
            else:
                future.resolve(VALUE, value=True)

        asked.add_done_callback(settle)
        return future.get(timeout=timeout) if block else future

    # -- what `supervisors.signals` and `supervisors.ending` ask, on the shard -----------------

    def remote_monitor(self, process: Process, monitor: Monitor) -> None:
        """Let the other node watch for a monitor of a process here."""
        del process
        self.distribution.monitor(self, monitor)

    def remote_demonitor(self, process: Process, monitor: Monitor) -> None:
        """Take that back."""
        del process
        self.distribution.demonitor(self, monitor)


class RemoteRef(RemoteAddress):
    """The address of one life of one process of another node; equal and hashed by pid.

    Also what stands for a process of this node that is gone.
    """

    __slots__ = ("_pid",)

    def __init__(self, distribution: Distribution, pid: Pid) -> None:
        super().__init__(distribution, pid.node)
        self._pid = pid

    @property
    def pid(self) -> Pid:
        """The process's address as a value."""
        return self._pid

    @property
    def name(self) -> Any:
        """None: what names it has only its node knows."""
        return None

    @property
    def to(self) -> int:
        """The serial."""
        return self._pid.serial

    @property
    def creation(self) -> int:
        """The incarnation of the node that the process lives in."""
        return self._pid.creation

    @property
    def shown(self) -> RemoteRef:
        """The ref itself."""
        return self

    def __eq__(self, other: object) -> bool:
        if isinstance(other, RemoteName):
            return False
        return isinstance(other, Ref) and other.pid == self._pid

    def __hash__(self) -> int:
        return hash(self._pid)

    def __str__(self) -> str:
        return str(self._pid)

    def remote_link(self, process: Process) -> None:
        """Tell the other side that a process here has linked itself to it."""
        self.distribution.link(self, process)

    def remote_unlink(self, process: Process) -> None:
        """Tell the other side that the link is gone."""
        self.distribution.unlink(self, process)

    def remote_exit(self, dead: Process, reason: Any) -> None:
        """Tell the other side that a process here, linked to it, has ended."""
        self.distribution.linked_exit(self, dead, reason)


class RemoteName(RemoteAddress):
    """A registered name on another node: whoever has it when a message arrives (`{Name, Node}`).

    Made by `node.remote(name, node_name)`. Monitors of it say (name, node name) in their Down.
    """

    __slots__ = ("_name", "_to")

    def __init__(self, distribution: Distribution, name: Any, node_name: str) -> None:
        super().__init__(distribution, node_name)
        self._name = name
        self._to = frames.Name(distribution.payloads.encode(name))

    @property
    def pid(self) -> Pid:
        """Refuse: only the other node knows who has the name now."""
        raise NotLocal(f"{self} is a name, not a process; ask `whereis` of the distribution")

    @property
    def name(self) -> Any:
        """The name."""
        return self._name

    @property
    def to(self) -> frames.Name:
        """The name, encoded."""
        return self._to

    @property
    def creation(self) -> None:
        """None: a name holds for every incarnation of its node."""
        return

    @property
    def shown(self) -> Any:
        """The name and its node."""
        return (self._name, self.node_name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, RemoteName) and other.shown == self.shown

    def __hash__(self) -> int:
        return hash(self.shown)

    def __str__(self) -> str:
        return f"{self._name!r} on {self.node_name}"

    def remote_link(self, process: Process) -> None:
        """Refuse: links are between processes (OTP: link/1 takes a pid)."""
        process.extras.links.pop(self, None)  # type: ignore[union-attr]
        raise NotLocal(f"cannot link to {self}: look it up and link to the process it names")

    def remote_unlink(self, process: Process) -> None:
        """Nothing to do: there was no link."""
