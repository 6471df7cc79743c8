"""Child specs and flags: their forms, defaults and errors, without a supervisor."""

from __future__ import annotations

from dataclasses import fields
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from supervisors import Backoff, ChildSpec, Flags, GenServer, Supervisor, requests
from supervisors.child import check_child, check_children, check_flags, named
from supervisors.errors import ChildError, SpecError, StartError

if TYPE_CHECKING:
    from tests.supervisors.world import World


def start(*_: Any) -> None:
    """Stand for a start function."""


def refused(check: Any, *arguments: Any) -> Any:
    """Give the term of the SpecError that a check raises."""
    with pytest.raises(SpecError) as told:
        check(*arguments)
    return told.value.reason


# -- forms and defaults --------------------------------------------------------------------------


def test_a_spec_of_id_and_start_has_otps_defaults() -> None:
    spec = check_child({"id": "a", "start": (GenServer, ())})
    module = GenServer.__module__
    assert spec == ChildSpec(
        "a", (GenServer, ()), "permanent", False, 5000, "worker", (module,), None, None
    )
    assert check_child({"id": "a", "start": (start,), "type": "supervisor"}).shutdown == "infinity"


def test_the_three_forms_of_a_spec_say_the_same() -> None:
    forms = [
        ("a", (start, (1,)), "transient", 100, "worker", ["m"]),
        {
            "id": "a", "start": (start, (1,)), "restart": "transient", "shutdown": 100,
            "type": "worker", "modules": ["m"],
        },
        ChildSpec("a", (start, (1,)), "transient", shutdown=100, modules=["m"]),
    ]  # fmt: skip
    first, *others = (check_child(form) for form in forms)
    assert others == [first, first]
    assert first.modules == ("m",)


@pytest.mark.parametrize("target", [GenServer, start, partial(start, 1)], ids=repr)
def test_a_start_is_a_class_or_a_function_with_or_without_arguments(target: Any) -> None:
    for form, args, kwargs in (
        (target, (), {}),
        ((target,), (), {}),
        ((target, [1, 2]), (1, 2), {}),
        ((target, (1,), {"a": 2}), (1,), {"a": 2}),
    ):
        spec = check_child({"id": "a", "start": form})
        assert (spec.target, spec.args, spec.start_kwargs) == (target, args, kwargs)


@pytest.mark.parametrize(
    "wrong",
    [None, "mfa", (), ("mfa",), (start, 1), (start, (), []), (start, (), {}, 1), [start]],
    ids=repr,
)
def test_a_start_of_any_other_shape_is_named(wrong: Any) -> None:
    assert refused(check_child, {"id": "a", "start": wrong}) == ("invalid_mfa", wrong)


def test_unknown_keys_of_specs_and_flags_are_ignored() -> None:
    assert check_child({"id": "a", "start": start, "silly": 1}).id == "a"
    assert check_flags({"silly": 1}) == Flags()


restarts = st.sampled_from(["permanent", "transient", "temporary"])
shutdowns = st.one_of(st.integers(0, 10**9), st.sampled_from(["brutal_kill", "infinity"]))
specs = st.fixed_dictionaries(
    {"id": st.one_of(st.none(), st.integers(), st.text()), "start": st.just((start, (1,)))},
    optional={
        "restart": restarts,
        "shutdown": shutdowns,
        "type": st.sampled_from(["worker", "supervisor"]),
        "modules": st.one_of(st.just("dynamic"), st.lists(st.text(), max_size=3)),
        "name": st.text(),
        "backoff": st.just(Backoff()),
        "unknown": st.integers(),
    },
)


@given(specs)
def test_a_checked_spec_keeps_what_was_said_and_passes_again_unchanged(
    wanted: dict[str, Any],
) -> None:
    spec = check_child(wanted)
    for field in fields(ChildSpec):
        if field.init and field.name in wanted and field.name != "modules":
            assert getattr(spec, field.name) == wanted[field.name]
    assert check_child(spec) == spec


# -- errors --------------------------------------------------------------------------------------

ORDER: list[tuple[str, Any, Any]] = [
    ("start", "mfa", ("invalid_mfa", "mfa")),
    ("restart", "always", ("invalid_restart_type", "always")),
    ("significant", "maybe", ("invalid_significant", "maybe")),
    ("type", "thing", ("invalid_child_type", "thing")),
    ("shutdown", "soft", ("invalid_shutdown", "soft")),
    ("modules", "dy", ("invalid_modules", "dy")),
    ("backoff", 1.5, ("invalid_backoff", 1.5)),
]
"""Keys with a wrong value and how it is named, in the order in which OTP looks."""


def test_of_several_faults_the_first_in_otps_order_is_named() -> None:
    wrong: dict[str, Any] = {}
    assert refused(check_child, wrong) == "missing_id"
    wrong["id"] = "a"
    assert refused(check_child, wrong) == "missing_start"
    wrong |= {key: value for key, value, _ in ORDER}
    for key, _, reason in ORDER:
        assert refused(check_child, wrong) == reason
        del wrong[key]
        wrong |= {"start": start} if key == "start" else {}
    assert check_child(wrong).restart == "permanent"


@pytest.mark.parametrize("wrong", [-1, 1.5, True, None, "brutal", []], ids=repr)
def test_a_wrong_shutdown_is_named(wrong: Any) -> None:
    spec = {"id": "a", "start": start, "shutdown": wrong}
    assert refused(check_child, spec) == ("invalid_shutdown", wrong)


@pytest.mark.parametrize("wrong", [1, 0, None, "true"], ids=repr)
def test_significant_is_true_or_false_and_nothing_like_it(wrong: Any) -> None:
    spec = {"id": "a", "start": start, "significant": wrong}
    assert refused(check_child, spec) == ("invalid_significant", wrong)


@pytest.mark.parametrize("key", ["intensity", "period"])
@pytest.mark.parametrize("wrong", [-1, 1.5, True, "infinity", None], ids=repr)
def test_intensity_and_period_are_whole_numbers(key: str, wrong: Any) -> None:
    assert refused(check_flags, {key: wrong}) == (f"invalid_{key}", wrong)


def test_the_faulty_flag_named_is_the_first_in_otps_order() -> None:
    wrong = {"strategy": 1, "intensity": -1, "period": 0, "auto_shutdown": "x"}
    for key in list(wrong):
        assert refused(check_flags, wrong) == (f"invalid_{key}", wrong[key])
        del wrong[key]


def test_the_triple_form_of_flags_has_no_auto_shutdown() -> None:
    assert check_flags(("rest_for_one", 3, 7)) == Flags("rest_for_one", 3, 7, "never")
    for wrong in ("one_for_one", ("one_for_one",), ("one_for_one", 1, 5, "never"), None):
        assert refused(check_flags, wrong) == ("invalid_type", wrong)


def test_a_list_of_specs_keeps_its_order_and_refuses_an_id_given_twice() -> None:
    ids = ["c", "a", "b"]
    listed = [{"id": one, "start": start} for one in ids]
    assert list(check_children(listed)) == ids
    assert refused(check_children, [*listed, listed[1]]) == ("duplicate_child_name", "a")
    assert refused(check_children, {"id": "a"}) == ("badarg", {"id": "a"})


def test_a_spec_error_says_what_is_wrong_in_words() -> None:
    with pytest.raises(SpecError, match=r"invalid_restart_type.*always"):
        check_child({"id": "a", "start": start, "restart": "always"})


# -- names ---------------------------------------------------------------------------------------


def test_a_name_is_a_value_or_a_function_of_the_start_arguments() -> None:
    assert named(ChildSpec("a", (start,)), (1,)) is None
    assert named(ChildSpec("a", (start,), name="fixed"), (1,)) == "fixed"
    spec = ChildSpec("a", (start,), name=lambda *args: ("vm", *args))
    assert named(spec, (1, 2)) == ("vm", 1, 2)


def test_a_name_function_that_fails_is_a_failed_start() -> None:
    spec = ChildSpec("a", (start,), name=lambda number: f"vm-{number:d}")
    assert named(spec, (7,)) == "vm-7"
    with pytest.raises(StartError):
        named(spec, ("seven",))


# -- what Python has and Erlang has not ----------------------------------------------------------


def test_an_id_that_cannot_be_hashed_is_refused_and_the_supervisor_lives(world: World) -> None:
    supervisor = world.start(Supervisor, Flags(), [])
    with pytest.raises(SpecError) as told:
        world.wait(requests.start_child(supervisor, {"id": ["a"], "start": start}))
    assert told.value.reason == ("invalid_id", ["a"])
    for request in (
        requests.terminate_child,
        requests.restart_child,
        requests.delete_child,
        requests.get_childspec,
    ):
        with pytest.raises(ChildError) as refusal:
            world.wait(request(supervisor, ["a"]))
        assert refusal.value.reason == "not_found"
    assert supervisor.is_alive()
