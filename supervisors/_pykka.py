"""The one place that touches Pykka's private names.

Everything here is what a lean actor needs so that stock Pykka code (proxies, the registry,
`isinstance` checks) takes it for its own: `Actor._actor_ref` and `ActorRef._actor_weakref` (read
by proxies), `Actor._handle_receive` (serves proxy messages), `messages._ActorStop`, and
`Future._get_hook` with its cached result. Pykka is pinned to `>=4.5,<5`; the tests in
`tests/supervisors/pykka` fail when one of these names changes its meaning.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import pykka
from pykka import messages

if TYPE_CHECKING:
    from pykka._envelope import Envelope

T = TypeVar("T")
A = TypeVar("A", bound=pykka.Actor)

ActorStop = messages._ActorStop
ProxyCall = messages.ProxyCall
ProxyGetAttr = messages.ProxyGetAttr
PYKKA_MESSAGES = frozenset(
    {ActorStop, messages.ProxyCall, messages.ProxyGetAttr, messages.ProxySetAttr}
)
"""Messages that Pykka's own machinery sends and `Actor._handle_receive` serves."""


class Stopped:
    """What stands where Pykka has a threading.Event: tells whether the process has ended."""

    __slots__ = ("_process",)

    def __init__(self, process: LeanActor) -> None:
        self._process = process

    def is_set(self) -> bool:
        """Tell whether the process has ended."""
        return not self._process.is_running()

    def wait(self, timeout: float | None = None) -> bool:
        """Wait from outside until the process has ended; False if `timeout` seconds ran out."""
        return self._process.wait_ended(timeout)


class Inbox:
    """What stands where Pykka has a queue: puts an envelope into the process's mailbox."""

    __slots__ = ("_process",)

    def __init__(self, process: LeanActor) -> None:
        self._process = process

    def put(self, envelope: Envelope[Any], /) -> None:
        """Deliver one of Pykka's envelopes, as a tell or as an ask."""
        self._process.accept_envelope(envelope.message, envelope.reply_to)

    def get(self) -> Envelope[Any]:
        """Refuse: only the scheduler takes messages out."""
        raise NotImplementedError("the scheduler alone takes messages out of a mailbox")

    def empty(self) -> bool:
        """Tell whether no message waits."""
        return self._process.mailbox_length == 0


class LeanActor(pykka.Actor):
    """A `pykka.Actor` without its lock, event, urn string and queue: one object and no more.

    Pykka's attributes are computed when somebody asks for them.
    """

    __slots__ = ()

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The process's pid as a URN, in place of Pykka's random one."""
        return f"urn:pid:{self.pid_text()}"

    @property
    def actor_inbox(self) -> Inbox:  # type: ignore[override]
        """A view of the mailbox that speaks Pykka's envelopes."""
        return Inbox(self)

    @property
    def actor_stopped(self) -> Stopped:  # type: ignore[override]
        """A view of the life of the process."""
        return Stopped(self)

    @property
    def _actor_ref(self) -> pykka.ActorRef[Any]:  # type: ignore[override]
        return self.make_ref()

    @staticmethod
    def _create_actor_inbox() -> Any:
        raise NotImplementedError("a process has no inbox object of its own")

    @staticmethod
    def _create_future() -> pykka.Future[Any]:
        raise NotImplementedError("futures are made by the ref that asks")

    def _start_actor_loop(self) -> None:
        raise NotImplementedError("a process runs on its node's shard")

    def serve_pykka(self, message: Any) -> Any:
        """Serve a proxy message as Pykka does; called in the process's turn."""
        return self._handle_receive(message)

    def pid_text(self) -> str:
        """Give the pid as text."""
        raise NotImplementedError

    def make_ref(self) -> pykka.ActorRef[Any]:
        """Make a ref to this process."""
        raise NotImplementedError

    def is_running(self) -> bool:
        """Tell whether the process has not ended."""
        raise NotImplementedError

    def wait_ended(self, timeout_s: float | None) -> bool:
        """Wait from outside until the process has ended."""
        raise NotImplementedError

    def accept_envelope(self, message: Any, reply_to: pykka.Future[Any] | None) -> None:
        """Take a message that came through Pykka's inbox."""
        raise NotImplementedError

    @property
    def mailbox_length(self) -> int:
        """Messages that wait."""
        raise NotImplementedError


class LeanRef(pykka.ActorRef[A]):
    """A `pykka.ActorRef` over an actor object; Pykka's five attributes are computed."""

    __slots__ = ("_process",)

    def __init__(self, process: Any) -> None:
        self._process = process

    @property
    def actor_class(self) -> type[A]:  # type: ignore[override]
        """The class of the process."""
        return self._process.__class__  # type: ignore[no-any-return]

    @property
    def actor_urn(self) -> str:  # type: ignore[override]
        """The pid as a URN."""
        return self._process.actor_urn  # type: ignore[no-any-return]

    @property
    def actor_inbox(self) -> Inbox:  # type: ignore[override]
        """A view of the mailbox that speaks Pykka's envelopes."""
        return Inbox(self._process)

    @property
    def actor_stopped(self) -> Stopped:  # type: ignore[override]
        """A view of the life of the process."""
        return Stopped(self._process)

    def _actor_weakref(self) -> Any:  # type: ignore[override]
        return self._process


class LeanFuture(pykka.Future[T]):
    """A `pykka.Future` whose parts for get hooks exist only when a hook is set."""

    __slots__ = ()

    _get_hook = None

    def get_by_hook(self, timeout: float | None) -> T:
        """Compute the value by the hook, once (Pykka: the result of the hook is cached)."""
        if "_hooked" not in self.__dict__:
            self.__dict__["_hooked"] = self._get_hook(timeout)  # type: ignore[misc]
        return self.__dict__["_hooked"]  # type: ignore[no-any-return]
