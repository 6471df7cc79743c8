"""What the gateway, instances and whoever looks inside them say to each other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    from fifo.agent.intent import Intent
    from fifo.model.errors import FifoError
    from fifo.model.image import Image
    from supervisors import Ref

# -- from the session, or from the API on the same node -------------------------------------------


@dataclass(frozen=True, slots=True)
class Take:
    """Call to the gateway: whose host this is now, and where reports go; answered with Hello.

    Refused with Conflict if a higher fence has been seen.
    """

    fence: int
    session: Ref[Any]


@dataclass(frozen=True, slots=True)
class Beat:
    """Call to the gateway: answered with None by one that answers at all."""


@dataclass(frozen=True, slots=True)
class Lookup:
    """Call to the gateway: the ref of an instance's actor; NotFound if it has none."""

    uid: str


@dataclass(frozen=True, slots=True)
class Inside:
    """Call to an instance: `console`, `execute` or `logs` of the driver, with its arguments.

    Answered with a Channel, or with bytes; WrongState if it does not run.
    """

    verb: Literal["console", "execute", "logs"]
    args: tuple[Any, ...] = ()
    keywords: dict[str, Any] | None = None


STATUS: Final = "status"
"""Call to an instance: its InstanceStatus now."""


# -- from the gateway, the journal or the sampling to an instance ----------------------------------


class Realise(NamedTuple):
    """A newer intent, which is on disk."""

    intent: Intent


class Halted(NamedTuple):
    """A full disk of the host's holds a guest up, or does so no more; told at each measuring."""

    halted: bool


class Remove(NamedTuple):
    """Nothing shall be left; the actor writes that down first. Answered with Gone."""

    operation: str


class Wish(NamedTuple):
    """Something to be done once: `snapshot`, `roll_back`, `delete_snapshot`, `capture_image`.

    Answered with Granted, which carries the token. Of the same of one operation, which asks anew
    for what it waits for no more, the later takes the earlier's place.
    """

    verb: str
    argument: str
    image: Image | None
    operation: str
    to: Ref[Any]
    token: int

    def repeats(self, earlier: Wish) -> bool:
        """Tell whether it is the same of the same operation."""
        return self[:4] == earlier[:4]


# -- from an instance to the gateway --------------------------------------------------------------


class Granted(NamedTuple):
    """What became of a wish."""

    token: int
    value: Any
    error: FifoError | None


class Gone(NamedTuple):
    """Nothing is left of an instance, here and in the journal; or the host refused (`error`)."""

    uid: str
    error: FifoError | None = None
