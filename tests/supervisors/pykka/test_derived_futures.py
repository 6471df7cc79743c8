"""Contract: futures made of others: map, filter, join, reduce, and get_all over many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pykka
import pytest

from tests.supervisors.pykka.runtime import Calls

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.supervisors.pykka.runtime import Runtime


class Echo(pykka.Actor):
    def on_receive(self, message: Any) -> Any:
        return message


def test_map_passes_the_whole_result_through_a_function(runtime: Runtime) -> None:
    future = runtime.future()
    plus = future.map(lambda x: x + 10)
    future.set(30)
    assert plus.get() == 40


def test_map_takes_a_field_out_of_a_dict(runtime: Runtime) -> None:
    future = runtime.future()
    field = future.map(lambda x: x["foo"])
    future.set({"foo": "bar"})
    assert field.get() == "bar"


def test_map_does_not_go_into_an_iterable_result(runtime: Runtime) -> None:
    future = runtime.future()
    mapped = future.map(lambda x: x + 10)
    future.set([10, 20])
    with pytest.raises(TypeError):
        mapped.get()


def test_filter_keeps_the_items_that_pass(runtime: Runtime) -> None:
    future = runtime.future()
    kept = future.filter(lambda x: x > 10)
    future.set(range(5, 15))
    assert future.get() == range(5, 15)
    assert kept.get() == [11, 12, 13, 14]


def test_join_collects_the_results_in_order(runtime: Runtime) -> None:
    futures = [runtime.future() for _ in range(3)]
    joined = futures[0].join(*futures[1:])
    for future, value in zip(reversed(futures), (False, 123, "abc"), strict=True):
        future.set(value)
    assert joined.get() == ["abc", 123, False]


def test_join_of_one_future_is_a_list_of_one(runtime: Runtime) -> None:
    future = runtime.future()
    joined = future.join()
    future.set(1)
    assert joined.get() == [1]


def test_reduce_folds_from_the_left(runtime: Runtime) -> None:
    future = runtime.future()
    folded: pykka.Future[Any] = future.reduce(lambda x, y: f"({x}{y})")
    future.set(["a", "b", "c"])
    assert folded.get() == "((ab)c)"


def test_reduce_begins_with_the_initial_value(runtime: Runtime) -> None:
    future = runtime.future()
    folded: pykka.Future[Any] = future.reduce(lambda x, y: x + y, 5)
    future.set([1, 2, 3])
    assert folded.get() == 11


def test_reduce_of_nothing_gives_the_initial_value(runtime: Runtime) -> None:
    future = runtime.future()
    folded: pykka.Future[Any] = future.reduce(lambda x, y: x + y, 5)
    future.set([])
    assert folded.get() == 5


def test_reduce_of_nothing_without_an_initial_value_raises_type_error(runtime: Runtime) -> None:
    future = runtime.future()
    folded: pykka.Future[Any] = future.reduce(lambda x, y: x + y)
    future.set([])
    with pytest.raises(TypeError):
        folded.get()


DERIVED: dict[str, Callable[[Any], Any]] = {
    "map": lambda future: future.map(lambda x: x),
    "filter": lambda future: future.filter(bool),
    "join": lambda future: future.join(),
    "reduce": lambda future: future.reduce(lambda x, y: x),
}


@pytest.mark.parametrize("name", ["filter", "reduce"])
def test_a_result_that_is_no_iterable_raises_type_error(runtime: Runtime, name: str) -> None:
    future = runtime.future()
    derived = DERIVED[name](future)
    future.set(1)
    with pytest.raises(TypeError):
        derived.get()


@pytest.mark.parametrize("name", sorted(DERIVED))
def test_a_derived_future_hands_the_timeout_on(runtime: Runtime, name: str) -> None:
    derived = DERIVED[name](runtime.future())
    with pytest.raises(pykka.Timeout):
        derived.get(timeout=0)


@pytest.mark.parametrize("name", sorted(DERIVED))
def test_a_derived_future_hands_the_exception_on(runtime: Runtime, name: str) -> None:
    future = runtime.future()
    derived = DERIVED[name](future)
    future.set_exception((LookupError, LookupError("lost"), None))
    with pytest.raises(LookupError, match="lost"):
        derived.get()


@pytest.mark.parametrize("name", ["map", "filter", "reduce"])
def test_a_derived_future_computes_its_result_once(runtime: Runtime, name: str) -> None:
    future = runtime.future()
    function = Calls(lambda *args: args[0])
    derived = getattr(future, name)(function)
    future.set([1, 2])
    first = derived.get()
    counted = function.count
    assert derived.get() == first
    assert function.count == counted


@pytest.mark.parametrize("name", ["map", "filter", "reduce"])
def test_nothing_is_computed_before_somebody_asks(runtime: Runtime, name: str) -> None:
    future = runtime.future()
    function = Calls(lambda *args: args[0])
    getattr(future, name)(function)
    future.set([1, 2])
    assert function.count == 0


def test_derived_futures_can_be_chained_over_the_answers_of_actors(runtime: Runtime) -> None:
    first, second = runtime.start(Echo), runtime.start(Echo)
    answers = first.ask([1, 2, 3], block=False).join(second.ask([4, 5], block=False))
    total: pykka.Future[Any] = (
        answers.map(lambda lists: [x for one in lists for x in one])
        .filter(lambda x: x != 3)
        .reduce(lambda x, y: x + y, 0)
    )
    assert total.get() == 12


# --- get_all -------------------------------------------------------------------------------------


def test_get_all_collects_the_results_in_order(runtime: Runtime) -> None:
    refs = [runtime.start(Echo) for _ in range(3)]
    futures = [ref.ask(number, block=False) for number, ref in enumerate(refs)]
    assert pykka.get_all(futures) == [0, 1, 2]
    assert pykka.get_all(futures) == [0, 1, 2]


def test_get_all_raises_timeout_if_one_is_missing(runtime: Runtime) -> None:
    futures = [runtime.future() for _ in range(2)]
    futures[0].set(0)
    with pytest.raises(pykka.Timeout):
        pykka.get_all(futures, timeout=0)


def test_get_all_raises_the_first_exception(runtime: Runtime) -> None:
    futures = [runtime.future() for _ in range(2)]
    futures[0].set(0)
    futures[1].set_exception((LookupError, LookupError("lost"), None))
    with pytest.raises(LookupError, match="lost"):
        pykka.get_all(futures)


def test_futures_are_pykka_futures(runtime: Runtime) -> None:
    future = runtime.future()
    future.set([1])
    derived = [DERIVED[name](future) for name in DERIVED]
    assert all(isinstance(one, pykka.Future) for one in [future, *derived])
    assert isinstance(runtime.start(Echo).ask(1, block=False), pykka.Future)
