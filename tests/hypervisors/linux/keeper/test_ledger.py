from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.keeper import limits
from fifo.hypervisors.linux.keeper.ledger import Ledger

NAMES = st.sampled_from(["a", "b", "c"])
STARTS = st.sampled_from(["s1", "s2"])


def entry(kind: str, /, **fields: Any) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries({"entry": st.just(kind), **fields})


ENTRIES = st.lists(
    entry("begin", instance=NAMES, start_id=STARTS, boot_id=st.just("boot"))
    | entry(
        "watch",
        instance=NAMES,
        start_id=STARTS,
        boot_id=st.just("boot"),
        pid=st.integers(2, 9),
        start_time=st.integers(1, 9),
    )
    | entry("exit", instance=NAMES, start_id=STARTS, how=st.just("exited"), status=st.just(0))
    | entry("forget", instance=NAMES)
    | entry("console", console=NAMES, kind=st.just("terminal"), path=st.just(""))
    | entry("closed", console=NAMES)
    | entry("ack", seq=st.integers(0, 20)),
    max_size=20,
)


def ledger_of(entries: list[dict[str, Any]]) -> Ledger:
    """Replay entries; exits are numbered as the journal does it."""
    ledger, seq = Ledger("j"), 1
    for each in entries:
        if each["entry"] == "exit":
            ledger.apply({**each, "seq": seq})
            seq += 1
        else:
            ledger.apply(each)
    return ledger


def state(ledger: Ledger) -> tuple[Any, ...]:
    return (
        ledger.journal,
        ledger.next_seq,
        ledger.instances,
        ledger.consoles,
        list(ledger.exits),
    )


@given(ENTRIES)
def test_the_entries_of_a_ledger_make_the_same_ledger(entries: list[dict[str, Any]]) -> None:
    ledger, again = ledger_of(entries), Ledger("other")
    for each in ledger.entries():
        again.apply(each)
    assert state(again) == state(ledger)


@given(ENTRIES)
def test_a_number_is_never_given_twice(entries: list[dict[str, Any]]) -> None:
    ledger = ledger_of(entries)
    assert ledger.next_seq == 1 + sum(each["entry"] == "exit" for each in entries)
    assert ledger.first_seq() <= ledger.next_seq


def test_an_exit_belongs_to_the_start_it_names_alone() -> None:
    first = {"entry": "watch", "instance": "a", "start_id": "s1", "boot_id": "b", "pid": 5}
    late = {"entry": "exit", "seq": 1, "instance": "a", "start_id": "s1", "how": "exited"}
    ledger = Ledger("j")
    for each in (first, {**first, "start_id": "s2"}, late):
        ledger.apply(each)
    assert "exit" not in ledger.instances["a"]
    assert [record["start_id"] for record in ledger.exits] == ["s1"]


def test_no_more_exits_are_kept_than_the_bound_and_their_numbers_say_so() -> None:
    ledger = Ledger("j")
    for seq in range(1, limits.EXITS_KEPT_MAX + 4):
        ledger.apply({"entry": "exit", "seq": seq, "instance": "a", "start_id": "s", "how": "x"})
    assert (len(ledger.exits), ledger.first_seq()) == (limits.EXITS_KEPT_MAX, 4)


@pytest.mark.parametrize("bad", [{"entry": "dance"}, {"entry": "watch"}, {"entry": "head"}, {}])
def test_what_is_no_entry_is_refused(bad: dict[str, Any]) -> None:
    with pytest.raises((KeyError, ValueError)):
        Ledger("j").apply(bad)
