"""Lists go on where they stopped, by name or by field, whatever comes and goes meanwhile."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from fifo.api import listing, sealing
from fifo.api.ordering import Place
from fifo.model.errors import InvalidInput
from fifo.v1 import package_pb2
from tests.api.calls import call, refused

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from tests.api.stage import Stage

    Play = Callable[..., None]
    Run = Callable[[Coroutine[Any, Any, Any]], Any]

Package = package_pb2.Package
SEALS = sealing.Seals(b"k" * 32)


class Shelf:
    """Packages by name, to be listed."""

    def __init__(self, *names: str) -> None:
        self.packages = {name: Package(name=name, quota=len(name)) for name in names}

    async def page(self, token: str = "", size: int = 2, **asked: str) -> listing.Page:
        question = listing.Asked(
            "List", "", size, token, asked.get("filter", ""), asked.get("order_by", "")
        )
        places = sorted(Place(name, name) for name in self.packages)
        return await listing.page(SEALS, question, places, self.packages.get, Package.DESCRIPTOR)

    async def names(self, size: int = 2, **asked: str) -> list[str]:
        found: list[str] = []
        token = ""
        while True:
            page = await self.page(token, size, **asked)
            found += [message.name for message in page.messages]
            token = page.next_page_token
            if not token:
                return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
def test_pages_of_any_size_give_all_once(run: Run, size: int) -> None:
    shelf = Shelf(*"gfedcba")
    assert run(shelf.names(size)) == list("abcdefg")


@pytest.mark.parametrize("size", [1, 2, 100])
def test_a_list_is_ordered_by_its_fields_and_then_by_name(run: Run, size: int) -> None:
    shelf = Shelf("a", "bb", "ccc", "d", "ee")
    assert run(shelf.names(size, order_by="quota desc")) == ["ccc", "bb", "ee", "a", "d"]
    assert run(shelf.names(size, order_by="quota, name desc")) == ["d", "a", "ee", "bb", "ccc"]


def test_what_comes_and_goes_shifts_no_page(run: Run) -> None:
    async def scene() -> None:
        shelf = Shelf(*"bdfh")
        first = await shelf.page()
        del shelf.packages["d"]
        shelf.packages["a"] = Package(name="a")
        shelf.packages["e"] = Package(name="e")
        second = await shelf.page(first.next_page_token)
        assert [one.name for one in first.messages] == ["b", "d"]
        assert [one.name for one in second.messages] == ["e", "f"]

    run(scene())


def test_a_token_is_good_for_its_own_question_alone(run: Run) -> None:
    async def scene() -> None:
        shelf = Shelf(*"abcd")
        token = (await shelf.page()).next_page_token
        assert await shelf.page(token, size=1)
        wrong = [{"filter": "quota = 1"}, {"order_by": "quota"}]
        for asked in wrong:
            with pytest.raises(InvalidInput):
                await shelf.page(token, 2, **asked)
        for changed in (token[:-1], token + "A", "nonsense", "é", "====", token[::-1]):
            with pytest.raises(InvalidInput):
                await shelf.page(changed)

    run(scene())


def test_a_token_of_another_fleet_or_kind_is_refused() -> None:
    token = SEALS.seal("page", 1)
    with pytest.raises(InvalidInput):
        sealing.Seals(b"x" * 32).open("page", token, "page_token")
    with pytest.raises(InvalidInput):
        SEALS.open("place", token, "resume_token")


@pytest.mark.parametrize("text", ["none", "tags", "quota up", "a,b,c,d,e", "quota desc desc"])
def test_a_wrong_order_is_refused(run: Run, text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        run(Shelf("a").page(order_by=text))
    assert caught.value.violations[0].field == "order_by"


def test_a_page_size_is_bounded_and_no_negative_number(play: Play) -> None:
    async def scene(stage: Stage) -> None:
        async with stage.channel() as channel:
            listed = await call(channel, "ImageService.ListImages", page_size=1)
            assert len(listed.images) == 1
            rest = await call(
                channel, "ImageService.ListImages", page_size=9, page_token=listed.next_page_token
            )
            assert [one.name for one in rest.images] == ["images/disk"]
            told = await refused(call(channel, "ImageService.ListImages", page_size=-1))
            assert told.fields == ["page_size"]
            told = await refused(
                call(
                    channel,
                    "ImageService.ListImages",
                    page_token=listed.next_page_token,
                    filter="os = linux",
                )
            )
            assert told.fields == ["page_token"]
            masked = await call(channel, "ImageService.ListImages", read_mask={"paths": ["name"]})
            assert not masked.images[0].uid

    play(scene)
