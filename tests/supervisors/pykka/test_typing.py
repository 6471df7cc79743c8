"""Contract: pykka.typing describes proxies of processes as it does those of stock actors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pykka
from pykka.typing import ActorMemberMixin, proxy_field, proxy_method

if TYPE_CHECKING:
    from tests.supervisors.pykka.runtime import Runtime


class Circle(pykka.Actor):
    pi: float = 3.14

    def area(self, radius: float) -> float:
        return self.pi * radius * radius

    def on_receive(self, message: Any) -> Any:
        return message


class CircleProxy(ActorMemberMixin, pykka.ActorProxy[Circle]):
    pi = proxy_field(Circle.pi)
    area = proxy_method(Circle.area)


def circle(runtime: Runtime) -> CircleProxy:
    return cast("CircleProxy", runtime.start(Circle).proxy())


def test_a_typed_field_is_a_future_of_its_type(runtime: Runtime) -> None:
    pi: pykka.Future[float] = circle(runtime).pi
    assert pi.get() == 3.14


def test_a_typed_method_gives_a_future_of_its_type(runtime: Runtime) -> None:
    area: pykka.Future[float] = circle(runtime).area(2.0)
    assert area.get() == 3.14 * 4


def test_the_members_of_every_actor_are_typed_by_the_mixin(runtime: Runtime) -> None:
    proxy = circle(runtime)
    assert proxy.on_receive("message").get() == "message"
    ref = proxy.actor_ref
    proxy.stop().get()
    assert ref.actor_stopped.wait(5)
