"""Orders to the driver, and what comes of them: what instances and others send to its owner."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from fifo.agent import limits
from fifo.model.errors import Unavailable

if TYPE_CHECKING:
    from fifo.hypervisors.driver import Observed
    from fifo.model.errors import FifoError
    from fifo.model.hypervisor import Probe
    from supervisors import Future, Ref

# Gates: how many orders of a kind run at one time (`fifo.agent.limits`).
STARTS = "starts"
BOOTS = "boots"
CREATES = "creates"
STOPS = "stops"
OTHERS = "others"
LOOKS = "looks"


class Order:
    """One call of the driver: `verb` is its method, `args` its arguments.

    Orders with the same `subject` run one after the other, in the order they came, but for a stop,
    which runs `beside` a stop to shorten it; orders without one run beside all others. The deadline
    counts from the call, not from the order. The answer goes to `to` as an `Answer`, or settles the
    future `caller`. An order whose `withdrawn` is set before its turn is answered with Cancelled,
    and so is a stop that a Withdraw ends while it runs; `began_s` is None until it runs, and `task`
    is then what runs it.
    """

    __slots__ = (
        "args", "began_s", "beside", "caller", "deadline_s", "gate", "keywords", "subject", "task",
        "to", "token", "verb", "withdrawn",
    )  # fmt: skip

    def __init__(
        self,
        verb: str,
        args: tuple[Any, ...],
        deadline_s: float,
        *,
        subject: str = "",
        gate: str = OTHERS,
        to: Ref[Any] | None = None,
        token: int = 0,
        caller: Future[Any] | None = None,
        keywords: dict[str, Any] | None = None,
    ) -> None:
        self.verb = verb
        self.args = args
        self.deadline_s = deadline_s
        self.subject = subject
        self.gate = gate
        self.to = to
        self.token = token
        self.caller = caller
        self.keywords = keywords
        self.withdrawn = False
        self.beside = False
        self.began_s: float | None = None
        self.task: Ref[Any] | None = None

    def answer(self, value: Any, error: FifoError | None) -> None:
        """Tell whoever asked, if that still lives."""
        if self.caller is not None:
            if error is None:
                self.caller.reply(value)
            else:
                self.caller.fail(error)
        elif self.to is not None and self.to.is_alive():
            self.to.send(Answer(self.token, self.verb, value, error))


class Answer(NamedTuple):
    """What became of an order."""

    token: int
    verb: str
    value: Any
    error: FifoError | None


class Withdraw(NamedTuple):
    """Told to the driver's owner: nobody wants an instance stopped any more, whose stop runs.

    What its guest was asked cannot be taken back, but it is not forced.
    """

    uid: str


class Look(NamedTuple):
    """A question how an instance is on the host; answered with Seen.

    `fresh` says that nothing was ever ordered about it, so that the last inventory still holds.
    """

    uid: str
    to: Ref[Any]
    token: int
    fresh: bool = False


class Seen(NamedTuple):
    """How an instance is on the host, None if it is not there, and which boot of the host this is.

    `error` says that it could not be looked at.
    """

    token: int
    observed: Observed | None
    boot_id: str
    error: FifoError | None = None


class Nudge(NamedTuple):
    """Told to an instance: it may have changed on the host, look at it when at rest."""


class Sighted(NamedTuple):
    """Told to the gateway: the host is in sight, and these are all the uids on it."""

    uids: frozenset[str]
    probe: Probe


Told: TypeAlias = Answer | Seen | Nudge | Sighted


def too_many(host: str) -> Unavailable:
    """Make the refusal of an order or a look beyond `limits.ORDERS_WAITING`."""
    told = f"{limits.ORDERS_WAITING} orders wait for the driver already"
    return Unavailable(told, f"hypervisors/{host}")
