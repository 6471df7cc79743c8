"""A class that takes a name which the runtime keeps on every process is refused at once."""

from __future__ import annotations

from typing import Any

import pykka
import pytest

from supervisors import GenServer, Process
from supervisors.process import _RESERVED


def test_storing_a_kept_name_on_self_is_refused_when_the_class_is_defined() -> None:
    with pytest.raises(TypeError, match=r"Bad\.__init__ uses the name '_state'"):

        class Bad(Process):
            def __init__(self) -> None:
                super().__init__()
                self._state = 3


def test_changing_a_kept_name_in_place_is_refused() -> None:
    with pytest.raises(TypeError, match="'_serial'"):

        class Bad(GenServer):
            def handle_cast(self, message: Any) -> None:
                self._serial += 1


def test_a_class_attribute_with_a_kept_name_is_refused() -> None:
    with pytest.raises(TypeError, match="'_queue'"):

        class Bad(Process):
            _queue = None


def test_a_mixin_that_knows_nothing_of_us_is_looked_at_as_well() -> None:
    class Behaviour(pykka.Actor):
        def remember(self, name: str) -> None:
            self._name = name

    with pytest.raises(TypeError, match=r"Behaviour\.remember uses the name '_name'"):

        class Bad(Behaviour, Process):
            pass


def test_the_same_name_on_another_object_is_fine() -> None:
    class Machine:
        _state = "off"

    class Good(Process):
        def switch_on(self, machine: Machine) -> str:
            machine._state = "on"
            return machine._state

        def own(self) -> None:
            self.state = "mine"
            self._own_state = "mine"

    assert Good.__name__ == "Good"


def test_each_name_of_the_table_is_one_the_runtime_really_keeps() -> None:
    assert frozenset(Process.__slots__) == _RESERVED


def test_names_that_pykka_users_like_are_free() -> None:
    class Free(Process):
        def __init__(self) -> None:
            super().__init__()
            self.name = "machine"
            self.state = "running"
            self.queue: list[Any] = []

    assert Free.__name__ == "Free"
