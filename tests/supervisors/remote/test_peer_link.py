"""The link to a peer as a state machine: its table, its numbers, its epochs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from supervisors.errors import ProtocolError
from supervisors.remote.frames import Demonitor, Tell
from supervisors.remote.peer_link import (
    DOWN,
    DROPPED,
    GIVEN_UP,
    KEPT,
    NEW_CREATION,
    OVERFLOW,
    OVERRUN,
    REFUSED,
    SUSPENDED,
    TIMEOUT,
    TRANSITIONS,
    UP,
    Batch,
    Bounds,
    Hello,
    Identity,
    PeerLink,
)
from supervisors.remote.transport import PeerLost, PeerResumed, PeerSuspended, PeerUp


def frame(number: int) -> Tell:
    return Tell(number, b"")


def greet(one: PeerLink, other: PeerLink) -> tuple[list[Any], list[Any]]:
    """Connect two sides; gives what became of each."""
    hello, answer = one.hello(), other.hello()
    return one.connected(answer), other.connected(hello)


def pair(bounds: Bounds | None = None) -> tuple[PeerLink, PeerLink]:
    return PeerLink("a", 1, "b", bounds), PeerLink("b", 1, "a", bounds)


def connected(bounds: Bounds | None = None) -> tuple[PeerLink, PeerLink]:
    one, other = pair(bounds)
    assert greet(one, other) == ([PeerUp(1)], [PeerUp(1)])
    return one, other


def flow(source: PeerLink, target: PeerLink) -> list[int]:
    """Carry everything that waits; gives the numbers that arrived."""
    arrived: list[Any] = []
    while (batch := source.next_batch()) is not None:
        arrived += target.receive(batch)
    return [each.to for each in arrived]


def test_the_table_has_every_pair_that_can_happen() -> None:
    assert {state for state, _ in TRANSITIONS} == {DOWN, UP, SUSPENDED}
    assert TRANSITIONS == {
        ("down", "begin"): "up",
        ("up", "cut"): "suspended",
        ("suspended", "resume"): "up",
        ("up", "lose"): "down",
        ("suspended", "lose"): "down",
    }


def test_frames_arrive_in_order_and_are_acknowledged() -> None:
    one, other = connected(Bounds(batch_frames=3))
    for number in range(8):
        assert one.keep(frame(number)) == KEPT
    assert flow(one, other) == list(range(8))
    assert one.kept == 8
    assert flow(other, one) == []
    assert one.kept == 0
    assert other.next_batch() is None


def test_a_batch_holds_no_more_bytes_than_its_bound_unless_one_frame_does() -> None:
    one, _ = connected(Bounds(batch_bytes=200))
    for size in (50, 50, 500, 1):
        one.keep(Tell(0, b"x" * size))
    sizes = []
    while (batch := one.next_batch()) is not None:
        sizes.append([len(each.message) for each in batch.frames if isinstance(each, Tell)])
    assert sizes == [[50], [50], [500], [1]]


def test_a_resumed_link_repeats_what_did_not_arrive_and_only_that() -> None:
    one, other = connected()
    for number in range(3):
        one.keep(frame(number))
    assert flow(one, other) == [0, 1, 2]
    one.keep(frame(3))
    assert one.next_batch() is not None, "lost on the way"
    assert (one.disconnected(), other.disconnected()) == ([PeerSuspended()], [PeerSuspended()])
    one.keep(frame(4))
    assert greet(one, other) == ([PeerResumed()], [PeerResumed()])
    assert flow(one, other) == [3, 4]
    assert flow(other, one) == []
    assert (one.kept, other.repeated) == (0, 0)


def test_a_repeated_frame_is_given_once() -> None:
    one, other = connected()
    one.keep(frame(1))
    batch = one.next_batch()
    assert batch is not None
    assert len(other.receive(batch)) == 1
    assert other.receive(batch) == ()
    assert other.repeated == 1


def test_a_gap_or_an_acknowledgement_of_nothing_breaks_the_rules() -> None:
    one, other = connected()
    one.keep(frame(1))
    batch = one.next_batch()
    assert batch is not None
    with pytest.raises(ProtocolError, match="frame 2 after frame 0"):
        other.receive(Batch(batch.epoch, 2, batch.frames, 0))
    with pytest.raises(ProtocolError, match="acknowledged frame 1; 0 was"):
        other.receive(Batch(batch.epoch, 1, batch.frames, 1))


def test_a_frame_of_another_epoch_is_refused_and_counted() -> None:
    one, other = connected()
    one.keep(frame(1))
    one.keep(frame(2))
    late = one.next_batch()
    assert late is not None
    one.disconnected()
    other.disconnected()
    assert other.receive(late) == ()
    assert one.lose(TIMEOUT) == PeerLost(TIMEOUT, 2)
    greet(one, other)
    assert other.receive(late) == ()
    assert other.refused == 4


def test_who_gave_up_alone_is_met_with_a_new_epoch() -> None:
    one, other = connected()
    one.disconnected()
    other.disconnected()
    other.keep(frame(1))
    one.lose(TIMEOUT)
    assert greet(one, other) == ([PeerUp(1)], [PeerLost(GIVEN_UP, 1), PeerUp(1)])
    assert flow(other, one) == []


def test_a_new_creation_ends_the_epoch_and_the_old_one_is_refused_for_good() -> None:
    one, other = connected()
    one.disconnected()
    reborn = PeerLink("b", 2, "a")
    assert greet(one, reborn) == ([PeerLost(NEW_CREATION, 0), PeerUp(2)], [PeerUp(1)])
    one.disconnected()
    other.disconnected()
    one.hello()
    with pytest.raises(ProtocolError, match=r"expected node b at .*creation=2"):
        one.connected(other.hello())


def test_a_greeting_from_somebody_else_is_refused() -> None:
    one, _ = pair()
    one.hello()
    with pytest.raises(ProtocolError, match="expected node b"):
        one.connected(Hello("c", Identity(1, 0), None, 0))


def test_a_link_lost_while_it_greets_is_not_resumed() -> None:
    one, other = connected()
    one.disconnected()
    other.disconnected()
    one.hello()
    answer = other.hello()
    one.lose(TIMEOUT)
    with pytest.raises(ProtocolError, match="lost while it was being resumed"):
        one.connected(answer)


def test_one_side_may_resume_and_be_cut_before_the_other_hears_of_it() -> None:
    one, other = connected()
    one.keep(frame(1))
    one.disconnected()
    other.disconnected()
    one.hello()
    assert one.connected(other.hello()) == [PeerResumed()]
    assert one.next_batch() is not None, "lost on the way"
    one.disconnected()
    assert greet(one, other) == ([PeerResumed()], [PeerResumed()])
    assert flow(one, other) == [1]


def test_two_sides_that_hold_different_epochs_begin_a_new_one() -> None:
    one, other = connected()
    one.keep(frame(1))
    one.disconnected()
    other.disconnected()
    one.lose(TIMEOUT)
    one.hello()
    assert one.connected(other.hello()) == [PeerUp(1)]
    one.keep(frame(2))
    one.disconnected()
    assert greet(one, other) == (
        [PeerLost(GIVEN_UP, 1), PeerUp(1)],
        [PeerLost(GIVEN_UP, 0), PeerUp(1)],
    )
    one.keep(frame(3))
    assert flow(one, other) == [3]


def test_bounds_of_a_link_that_is_up() -> None:
    one, _ = connected(Bounds(window_frames=2, signal_frames=4))
    assert [one.keep(frame(n)) for n in range(3)] == [KEPT, KEPT, REFUSED]
    signals = [one.keep(Demonitor(n)) for n in range(4)]
    assert signals == [KEPT, KEPT, OVERRUN, DROPPED]
    assert one.disconnected() == [PeerLost(OVERFLOW, 4)]
    assert (one.state, one.dropped, one.kept) == (DOWN, 6, 0)


def test_bounds_in_bytes_of_a_link_that_is_up() -> None:
    one, _ = connected(Bounds(window_bytes=200))
    assert one.keep(Tell(1, b"x" * 100)) == KEPT
    assert one.keep(Tell(2, b"x" * 100)) == REFUSED


def test_bounds_of_a_suspended_link() -> None:
    one, _ = connected(Bounds(suspended_frames=2))
    one.keep(frame(1))
    one.disconnected()
    assert [one.keep(frame(n)) for n in (2, 3, 4)] == [KEPT, OVERRUN, DROPPED]
    found = (one.overrun, one.lose(OVERFLOW), one.overrun)
    assert found == (True, PeerLost(OVERFLOW, 2), False)
    assert one.keep(frame(5)) == DROPPED


class TwoSides(RuleBasedStateMachine):
    """Two links and the wires between them.

    Each frame arrives once and in order, or the epoch that it was sent in ends on both sides.
    """

    @initialize()
    def begin(self) -> None:
        bounds = Bounds(suspended_frames=6, batch_frames=2)
        self.links = {name: PeerLink(name, 1, peer, bounds) for name, peer in ("ab", "ba")}
        self.creations = {"a": 1, "b": 1}
        self.wires: dict[str, list[Any]] | None = None
        self.greeted: set[str] = set()
        self.sent: dict[str, list[int]] = {"a": [], "b": []}
        self.got: dict[str, list[int]] = {"a": [], "b": []}
        self.numbers = iter(range(1_000_000))

    def other(self, side: str) -> str:
        return "b" if side == "a" else "a"

    def note(self, side: str, events: list[Any]) -> None:
        for event in events:
            if isinstance(event, PeerUp):
                # What is sent from now on, and what is received, is of this epoch.
                self.sent[side] = []
                self.got[side] = []

    @rule(side=st.sampled_from("ab"))
    def send(self, side: str) -> None:
        number = next(self.numbers)
        said = self.links[side].keep(frame(number))
        if said == KEPT:
            self.sent[side].append(number)
        elif said == OVERRUN:
            self.hang_up()
            if self.links[side].overrun:
                self.note(side, [self.links[side].lose(OVERFLOW)])

    @rule()
    def connect(self) -> None:
        self.hang_up()
        self.wires = {"a": [], "b": []}
        self.greeted = set()
        for side, link in self.links.items():
            self.wires[self.other(side)].append(link.hello())

    @rule()
    def cut(self) -> None:
        self.hang_up()

    def hang_up(self) -> None:
        if self.wires is not None:
            self.wires = None
            for side, link in self.links.items():
                self.note(side, link.disconnected())

    @rule(side=st.sampled_from("ab"))
    def flush(self, side: str) -> None:
        if self.wires is not None and (batch := self.links[side].next_batch()) is not None:
            self.wires[self.other(side)].append(batch)

    @precondition(lambda self: self.wires is not None)
    @rule(side=st.sampled_from("ab"))
    def arrive(self, side: str) -> None:
        assert self.wires is not None
        if not self.wires[side]:
            return
        thing = self.wires[side].pop(0)
        link = self.links[side]
        if isinstance(thing, Hello):
            try:
                self.note(side, link.connected(thing))
            except ProtocolError:
                self.hang_up()
            return
        new = link.receive(thing)
        self.got[side] += [each.to for each in new]  # type: ignore[attr-defined]

    @rule(side=st.sampled_from("ab"))
    def give_up(self, side: str) -> None:
        if self.links[side].state == SUSPENDED:
            self.note(side, [self.links[side].lose(TIMEOUT)])

    @rule(side=st.sampled_from("ab"))
    def be_reborn(self, side: str) -> None:
        self.hang_up()
        self.creations[side] += 1
        self.links[side] = PeerLink(
            side, self.creations[side], self.other(side), Bounds(suspended_frames=6)
        )
        self.sent[side], self.got[side] = [], []

    @invariant()
    def what_arrived_is_a_beginning_of_what_was_sent(self) -> None:
        one, other = self.links["a"], self.links["b"]
        if one._epoch is None or other._epoch is None:
            return
        if one._epoch.seen_by_peer() == other._epoch:
            for side in "ab":
                got = self.got[self.other(side)]
                assert got == self.sent[side][: len(got)]

    @invariant()
    def nothing_is_repeated_or_refused_between_two_who_keep_the_rules(self) -> None:
        assert [link.repeated for link in self.links.values()] == [0, 0]

    def teardown(self) -> None:
        """Bring both sides together: then everything arrives."""
        if not hasattr(self, "links"):
            return
        for _ in range(2):
            self.connect()
            for _ in range(40):
                for side in "ab":
                    self.flush(side)
                    if self.wires is not None:
                        self.arrive(side)
        assert self.got == {"a": self.sent["b"], "b": self.sent["a"]}
        assert [link.kept for link in self.links.values()] == [0, 0]


TestTwoSides = TwoSides.TestCase
