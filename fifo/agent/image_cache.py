"""The host's cache of images: each fetched once however many wait, kept while it is used."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from fifo.agent import limits, names
from fifo.agent.orders import Answer, Order
from fifo.model.errors import Cancelled, FifoError, WrongState
from supervisors import Continue, Future, GenServer

if TYPE_CHECKING:
    from fifo.agent.settings import AgentSettings
    from fifo.model.image import Image
    from supervisors import Ref

logger = logging.getLogger("fifo.agent")

PROGRESS: Final = "progress"
"""Call: bytes done and in all of each transfer under way, by the image's uid."""
IMAGES: Final = "images"
"""Call: the uids of the images in the cache, sorted."""
_LIST: Final = 0


class Ensure(NamedTuple):
    """Have an image in the cache for an instance, or for none; an Answer with the Image says so."""

    image: Image
    user: str
    to: Ref[Any]
    token: int


class Drop(NamedTuple):
    """Delete an image from the cache; answered with an Answer, WrongState while it is used.

    A transfer that no instance waits for is given up: it goes when its bytes are through.
    """

    uid: str
    to: Ref[Any]
    token: int


class Uses(NamedTuple):
    """An instance uses an image, or none any more."""

    user: str
    image: str = ""


class _Progress(NamedTuple):
    image: str
    done_bytes: int
    size_bytes: int


class ImageCache(GenServer):
    """Fetches, counts users and deletes (`names.image_cache`)."""

    def init(self, settings: AgentSettings) -> Continue:
        """Ask the driver what is there; users are told by the gateway."""
        self.driver = self.node.address(names.driver(settings.host))
        self.there: dict[str, Image | None] = {}
        self.waiting: dict[str, list[Ensure]] = {}
        self.transfers: dict[str, tuple[int, int]] = {}
        self.fetching: dict[int, str] = {}
        self.dropping: dict[int, Drop] = {}
        self.unwanted: set[str] = set()
        self.users: dict[str, str] = {}
        self.count = _LIST
        return Continue(None)

    def handle_continue(self, argument: Any) -> None:
        """List the cache."""
        del argument
        order = Order("images", (), limits.LOOK_DEADLINE_S, to=self.ref, token=_LIST)
        self.driver.cast(order)

    def handle_call(self, message: str, caller: Future[Any]) -> Any:
        """Answer PROGRESS and IMAGES."""
        del caller
        return dict(self.transfers) if message == PROGRESS else tuple(sorted(self.there))

    def handle_cast(self, message: Ensure | Drop | Uses) -> None:
        """Take a wish, or the news of a user."""
        if isinstance(message, Ensure):
            if message.user:
                self.users[message.user] = message.image.uid
            self._ensure(message)
        elif isinstance(message, Drop):
            self._drop(message)
        elif message.image:
            self.users[message.user] = message.image
        else:
            self.users.pop(message.user, None)

    def handle_info(self, message: Any) -> None:
        """Take the driver's answers, and how far transfers are."""
        if isinstance(message, _Progress):
            if message.image in self.waiting:
                self.transfers[message.image] = (message.done_bytes, message.size_bytes)
        elif isinstance(message, Answer):
            self._answered(message)

    def _ensure(self, wish: Ensure) -> None:
        uid = wish.image.uid
        if uid in self.there:
            self._tell(wish.to, Answer(wish.token, "ensure", self.there[uid] or wish.image, None))
            return
        waiting = self.waiting.get(uid)
        if waiting is not None:
            waiting.append(wish)
            return
        self.waiting[uid] = [wish]
        self._fetch(wish)

    def _fetch(self, wish: Ensure) -> None:
        uid = wish.image.uid
        ref = self.ref

        def progress(done_bytes: int, size_bytes: int) -> None:
            ref.send(_Progress(uid, done_bytes, size_bytes))

        self.count += 1
        self.fetching[self.count] = uid
        self._order("fetch_image", (wish.image, progress), uid, limits.IMAGE_DEADLINE_S)

    def _drop(self, drop: Drop) -> None:
        users = sorted(user for user, image in self.users.items() if image == drop.uid)
        if users:
            more = len(users) - limits.NAMED_USERS
            named = ", ".join(users[: limits.NAMED_USERS])
            error = WrongState(
                f"it is in use by {named}" + (f" and {more} more" if more > 0 else ""),
                f"image {drop.uid}", "delete those instances first",
            )  # fmt: skip
            self._tell(drop.to, Answer(drop.token, "delete_image", None, error))
            return
        if drop.uid in self.waiting:
            self._give_up(drop)
            return
        self.count += 1
        self.dropping[self.count] = drop
        self.there.pop(drop.uid, None)
        self._order("delete_image", (drop.uid,), drop.uid, limits.DELETE_DEADLINE_S)

    def _give_up(self, drop: Drop) -> None:
        """Let a transfer come to nothing: its bytes cannot be stopped, but are dropped then.

        This need not be on disk: a transfer ends with its agent, and leaves nothing.
        """
        self.unwanted.add(drop.uid)
        told = Cancelled("the image is deleted", f"image {drop.uid}")
        waiting, self.waiting[drop.uid] = self.waiting[drop.uid], []
        for wish in waiting:
            self._tell(wish.to, Answer(wish.token, "ensure", None, told))
        self._tell(drop.to, Answer(drop.token, "delete_image", None, None))

    def _order(self, verb: str, args: tuple[Any, ...], uid: str, deadline_s: float) -> None:
        self.driver.cast(
            Order(verb, args, deadline_s, subject=f"image {uid}", to=self.ref, token=self.count)
        )

    def _answered(self, answer: Answer) -> None:
        if answer.token in self.dropping:
            drop = self.dropping.pop(answer.token)
            self._tell(drop.to, answer._replace(token=drop.token))
        elif answer.token in self.fetching:
            uid = self.fetching.pop(answer.token)
            self._fetched(uid, answer.value, answer.error)
        elif answer.error is not None:
            logger.warning("The cache of images: %s failed: %s", answer.verb, answer.error)
        elif answer.verb == "images":
            for uid in answer.value:
                self.there.setdefault(uid, None)

    def _fetched(self, uid: str, image: Image | None, error: FifoError | None) -> None:
        self.transfers.pop(uid, None)
        if uid in self.unwanted:
            self._drop_fetched(uid)
            return
        if error is None:
            self.there[uid] = image
        for wish in self.waiting.pop(uid):
            self._tell(wish.to, Answer(wish.token, "ensure", image, error))

    def _drop_fetched(self, uid: str) -> None:
        """Drop what was given up; whoever has asked for it since then gets it fetched anew."""
        self.unwanted.discard(uid)
        self.count += 1
        self._order("delete_image", (uid,), uid, limits.DELETE_DEADLINE_S)
        if self.waiting[uid]:
            self._fetch(self.waiting[uid][0])
        else:
            del self.waiting[uid]

    def _tell(self, to: Ref[Any], answer: Answer) -> None:
        if to.is_alive():
            to.send(answer)
