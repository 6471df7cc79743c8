"""What the suite asks of whoever brings a driver on trial."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from fifo.hypervisors.driver import Driver, Event, Wanted
    from fifo.model.image import Image

T = TypeVar("T")


class Stage(Protocol):
    """A host with a driver on it, and the means to make things happen there.

    `heard` has what the subscription that `listen` opened was told so far. `cannot` has the verbs
    that this host refuses as Unsupported: the tests of those look at the refusal instead. `coarse`
    is true where a guest takes real seconds, so that the suite makes fewer of them. `own_code` is
    an exit code that a guest of this kind can end with by itself.
    """

    driver: Driver
    brand: str
    own_code: int
    heard: list[Event]
    cannot: frozenset[str]
    coarse: bool

    def run(self, awaitable: Awaitable[T]) -> T:
        """Await something on the driver's loop; at most for the stage's own patience."""

    def both(self, first: Awaitable[T], second: Callable[[], Awaitable[T]]) -> tuple[T, T]:
        """Await two things on the driver's loop, the second when the first is well under way."""

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Let the world go on until a condition of what was heard holds; fails in the end."""

    def pass_time(self, seconds: float) -> None:
        """Let guests live for a while; a stage in real time may shorten it."""

    def listen(self) -> Callable[[], None]:
        """Subscribe, with `heard` beginning anew; gives what cancels it."""

    def restart_driver(self) -> None:
        """Close the driver and open another on the same host, as an agent that comes back."""

    def wanted(self) -> Wanted:
        """Describe another instance that runs until it is stopped."""

    def deaf(self) -> Wanted:
        """Describe one that takes no notice of a request to stop."""

    def short_lived(self, code: int) -> Wanted:
        """Describe one that ends by itself with an exit code soon after its start."""

    def settle(self, uid: str) -> None:
        """Let a guest come so far that it reads its console."""

    def fresh_image(self) -> Image:
        """Describe an image that can be fetched and is not in the cache."""

    def kill(self, uid: str) -> None:
        """Kill a running guest behind the driver's back."""

    def fail_in_create(self, wanted: Wanted) -> None:
        """Let a create of it fail in the middle, and wait until it has."""
