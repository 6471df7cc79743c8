"""Every field of a resource can be filtered by, in its own type and by its enumeration's words."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.api.filters import predicate
from fifo.api.status import status_of
from fifo.model.errors import InvalidInput
from fifo.v1 import hypervisor_pb2, instance_pb2

Instance = instance_pb2.Instance


def one() -> Instance:
    made = Instance(
        name="orgs/default/instances/web-1",
        alias='the "web"',
        state=Instance.RUNNING,
        ram=512,
        autoboot=True,
        addresses=["10.0.0.7"],
    )
    made.tags["tier"] = "web"
    made.tags["weight"] = 3
    made.tags["blue"] = False
    made.create_time.FromJsonString("2026-01-31T12:00:00Z")
    made.restart_policy.attempts = 5
    return made


ROWS = [
    ("", True),
    ("state = RUNNING", True),
    ("state = STOPPED", False),
    ("state != STOPPED", True),
    ('state = RUNNING AND tags.tier = "web"', True),
    ("state = STOPPED OR state = RUNNING", True),
    # OR binds closer: STOPPED AND (web OR RUNNING).
    ("state = STOPPED AND tags.tier = web OR state = RUNNING", False),
    ("state = RUNNING tags.tier = web", True),
    ("NOT state = RUNNING", False),
    ("(state = STOPPED AND ram = 1) OR ram = 512", True),
    ("ram >= 512", True),
    ("ram > 512", False),
    ("tags.weight = 3", True),
    ("tags.weight > 3", False),
    ("tags.blue = false", True),
    ("tags.none = 1", False),
    ("tags.none != 1", True),
    ("tags:tier", True),
    ("tags:none", False),
    ("tags.tier:*", True),
    ("addresses:10.0.0.7", True),
    ("addresses:10.0.0.8", False),
    ("name = *web*", True),
    ("name = web*", False),
    ('alias = "the \\"web\\""', True),
    ("autoboot = true", True),
    ('create_time > "2026-01-01T00:00:00Z"', True),
    ('create_time < "2026-01-01T00:00:00Z"', False),
    ("restart_policy.attempts = 5", True),
    ("package:*", False),
    ("alias:*", True),
]


@pytest.mark.parametrize(("text", "wanted"), ROWS)
def test_a_filter_picks(text: str, *, wanted: bool) -> None:
    assert predicate(text, Instance.DESCRIPTOR)(one()) is wanted


def test_labels_are_a_map() -> None:
    host = hypervisor_pb2.Hypervisor(labels={"rack": "r1"})
    matches = predicate('labels.rack = "r1"', hypervisor_pb2.Hypervisor.DESCRIPTOR)
    assert matches(host)
    assert not matches(hypervisor_pb2.Hypervisor())


@pytest.mark.parametrize(
    "text",
    ["nonsense = 1", "state = FLYING", "ram = many", "ram", "ram =", "= 1", "(ram = 1", "ram = 1)",
     "autoboot > true", "nics.mac = x", "addresses = 1", "create_time > yesterday", "state ~ 1",
     "tags = x", "alias.x = 1", "(" * 50 + "ram = 1", " AND ".join(["ram = 1"] * 100), "OR", "NOT",
     "ram = 1 OR", '"', 'name = "x'],
)  # fmt: skip
def test_a_wrong_filter_is_refused_with_what_is_wanted(text: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        predicate(text, Instance.DESCRIPTOR)
    assert caught.value.violations[0].field == "filter"


@pytest.mark.parametrize("own", ["web", 'network = "networks/lan"', "sate = RUNNING", "z" * 4_000])
def test_of_a_resource_with_many_fields_the_wrong_one_is_told_whole(own: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        predicate(own, Instance.DESCRIPTOR)
    told = status_of(caught.value).message
    assert f"a field there is, not {own.partition(' ')[0][:40]!r}, at character 1: " in told
    assert told.endswith("; correct the named fields")


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        predicate(text, Instance.DESCRIPTOR)(one())
