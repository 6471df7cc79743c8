"""Resources from pairs: all that is wrong at once, in the words of who wrote them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from fifo.cli.fields import merge
from fifo.model.errors import InvalidInput
from fifo.v1 import instance_pb2

if TYPE_CHECKING:
    from pathlib import Path


def refused(*settings: str) -> dict[str, str]:
    with pytest.raises(InvalidInput) as told:
        merge(instance_pb2.Instance(), None, settings)
    return dict(told.value.violations)


def test_words_of_enums_are_taken_in_any_case_however_deep() -> None:
    made = instance_pb2.Instance()
    policy = json.dumps({"mode": "on-failure", "attempts": 3})
    assert merge(made, None, ("brand=lx", f"restart_policy={policy}")) == [
        "brand",
        "restart_policy",
    ]
    assert made.brand == instance_pb2.Instance.LX
    assert made.restart_policy.mode == instance_pb2.RestartPolicy.ON_FAILURE


def test_all_that_is_wrong_is_told_field_by_field() -> None:
    told = refused("ram=abc", "cpu_cap=q", "brand=vm", "autoboot=maybe", "resolvers=1", "nics={x")
    assert told["ram"] == told["cpu_cap"] == "a whole number"
    assert told["brand"] == "one of joyent, joyent_minimal, lx, bhyve, kvm"
    assert told["autoboot"] == "true or false"
    assert told["resolvers"] == "a list, each a text"
    assert told["nics"].startswith("JSON: ")


def test_a_field_with_parts_says_which_there_are_where_it_is_given_a_word() -> None:
    told = refused("restart_policy=ALWAYS", "nics=net0")
    assert told["restart_policy"].startswith("say which of its parts: mode, ")
    assert told["restart_policy"].endswith('; as in restart_policy={"mode":"..."}')
    assert told["nics"].startswith("say which of its parts: ")
    assert 'as in nics=[{"' in told["nics"]
    assert "parts" not in refused("labels=x")["labels"]
    assert "parts" not in refused('restart_policy={"mod":"x"}')["restart_policy"]


def test_what_only_the_node_sets_is_refused_in_pairs_and_passed_over_in_files(
    tmp_path: Path,
) -> None:
    assert set(refused("state=STOPPED", "nope=1")) == {"state", "nope"}
    file = tmp_path / "web.json"
    file.write_text(json.dumps({"state": "RUNNING", "alias": "x"}))
    assert merge(instance_pb2.Instance(), str(file), ()) == ["state", "alias"]
