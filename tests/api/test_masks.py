"""Field masks read and change what they name, by AIP-134, 161 and 203."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from google.protobuf.field_mask_pb2 import FieldMask
from hypothesis import given
from hypothesis import strategies as st

from fifo.api import masks
from fifo.model.errors import InvalidInput
from fifo.v1 import hypervisor_pb2, instance_pb2

if TYPE_CHECKING:
    from collections.abc import Callable

Instance = instance_pb2.Instance


def present() -> Instance:
    made = Instance(
        name="orgs/default/instances/web",
        uid="u",
        etag='"1"',
        alias="a",
        ram=256,
        state=Instance.RUNNING,
    )
    made.tags["one"] = 1
    made.tags["two"] = "2"
    made.restart_policy.attempts = 10
    made.restart_policy.factor = 2.0
    return made


def merged(given: Instance, *paths: str) -> Instance:
    made: Instance = masks.merge(present(), given, FieldMask(paths=paths), "instance")
    return made


def test_without_a_mask_what_is_given_is_changed_and_nothing_else() -> None:
    wanted = present()
    wanted.alias = "b"
    assert merged(Instance(name="x", alias="b", state=Instance.FAILED)) == wanted


def test_a_named_field_that_is_absent_is_cleared() -> None:
    made = merged(Instance(), "alias", "ram")
    assert made.alias == ""
    assert not made.HasField("ram")


def test_a_path_leads_into_messages_and_into_keys() -> None:
    given = Instance()
    given.tags["two"] = "three"
    given.restart_policy.attempts = 5
    made = merged(given, "tags.two", "tags.one", "restart_policy.attempts")
    assert dict(made.tags.items()) == {"two": "three"}
    assert (made.restart_policy.attempts, made.restart_policy.factor) == (5, 2.0)


def test_a_star_replaces_all_that_is_settable() -> None:
    made = merged(Instance(alias="b"), "*")
    wanted = Instance(
        name="orgs/default/instances/web", uid="u", etag='"1"', alias="b", state=Instance.RUNNING
    )
    assert made == wanted


def test_output_only_fields_in_a_mask_are_passed_over() -> None:
    assert merged(Instance(state=Instance.FAILED), "state", "etag", "name") == present()


@pytest.mark.parametrize(
    "change",
    [
        lambda: merged(Instance(uid="other")),
        lambda: merged(Instance(uid="other"), "uid"),
        lambda: merged(Instance(), "uid"),
        lambda: merged(Instance(), "none"),
        lambda: merged(Instance(), "nics.mac"),
        lambda: merged(Instance(), ""),
        lambda: merged(Instance(), "alias."),
    ],
)
def test_what_is_immutable_or_unknown_is_refused(change: Callable[[], Instance]) -> None:
    with pytest.raises(InvalidInput):
        change()


def test_an_immutable_field_may_be_sent_back_as_it_is() -> None:
    assert merged(Instance(uid="u", alias="a")) == present()


def test_a_map_is_merged_by_key_or_replaced_as_a_whole() -> None:
    before = hypervisor_pb2.Hypervisor(labels={"a": "1", "b.c": "2"})
    given = hypervisor_pb2.Hypervisor(labels={"b.c": "3"})
    one = masks.merge(before, given, FieldMask(paths=["labels.b.c"]), "hypervisor")
    assert one.labels == {"a": "1", "b.c": "3"}
    whole = masks.merge(before, given, FieldMask(paths=["labels"]), "hypervisor")
    assert whole.labels == {"b.c": "3"}


FIELDS = [field.name for field in Instance.DESCRIPTOR.fields]


@given(st.lists(st.sampled_from(FIELDS), max_size=6))
def test_reading_by_a_mask_gives_those_fields_and_no_others(paths: list[str]) -> None:
    whole = present()
    read = masks.read(whole, FieldMask(paths=paths))
    if not paths:
        assert read == whole
        return
    assert {field.name for field, _ in read.ListFields()} == {
        field.name for field, _ in whole.ListFields() if field.name in paths
    }


@given(st.lists(st.sampled_from(FIELDS), min_size=1, max_size=6))
def test_what_was_read_changes_nothing_when_it_is_merged(paths: list[str]) -> None:
    assert merged(present(), *paths) == present()
