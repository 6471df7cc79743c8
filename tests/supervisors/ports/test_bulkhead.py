"""The bulkhead against a small model: who is admitted, in which order, and out exactly once."""

from __future__ import annotations

from math import inf
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from supervisors.future import Future
from supervisors.ports.bulkhead import (
    CLOSED,
    CRASHED,
    DONE,
    OVERLOADED,
    TIMED_OUT,
    Bulkhead,
    Job,
)
from supervisors.ports.token_bucket import TokenBucket

WORKERS = 2
QUEUE = 3


class BulkheadMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.bulkhead = Bulkhead(WORKERS, QUEUE)
        self.now_s = 0.0
        self.serial = 0
        self.waiting: list[Job] = []
        self.running: list[Job] = []
        self.gone: list[Job] = []
        self.outcomes: dict[str, int] = {}
        self.closed = False
        self.broken_off = False

    def counts(self, outcome: str, times: int = 1) -> None:
        if times:
            self.outcomes[outcome] = self.outcomes.get(outcome, 0) + times

    @rule(deadline_s=st.floats(0.5, 20))
    def admit(self, deadline_s: float) -> None:
        self.serial += 1
        job = Job(self.serial, "work", deadline_s, Future())
        job.due_s = self.now_s + deadline_s
        full = len(self.waiting) + len(self.running) >= WORKERS + QUEUE
        expected = CLOSED if self.closed else OVERLOADED if full or self.broken_off else None
        assert self.bulkhead.admit(job) == expected
        if expected is None:
            self.waiting.append(job)
        else:
            self.counts(expected)

    @rule()
    def take(self) -> None:
        if len(self.running) < WORKERS:
            job = self.bulkhead.take("worker")
            assert job is (self.waiting.pop(0) if self.waiting else None)
            if job is not None:
                self.running.append(job)

    @rule(outcome=st.sampled_from([DONE, CRASHED]), data=st.data())
    def settle(self, outcome: str, data: Any) -> None:
        if self.running or self.waiting:
            job = data.draw(st.sampled_from([*self.running, *self.waiting]))
            assert self.bulkhead.settle(job, outcome)
            self.forget([job], outcome)

    @rule(data=st.data())
    def settle_too_late(self, data: Any) -> None:
        if self.gone:
            assert not self.bulkhead.settle(data.draw(st.sampled_from(self.gone)), DONE)

    @rule(passing_s=st.floats(0, 10))
    def time_passes(self, passing_s: float) -> None:
        self.now_s += passing_s
        late = [job for job in (*self.waiting, *self.running) if job.due_s <= self.now_s]
        found = self.bulkhead.expired(self.now_s)
        assert sorted(job.serial for job in found) == sorted(job.serial for job in late)
        self.forget(late, TIMED_OUT)

    def forget(self, jobs: list[Job], outcome: str) -> None:
        self.waiting = [job for job in self.waiting if job not in jobs]
        self.running = [job for job in self.running if job not in jobs]
        self.gone += jobs
        self.counts(outcome, len(jobs))

    @rule()
    def break_off(self) -> None:
        if not self.closed:
            assert self.bulkhead.break_off() == self.waiting
            self.forget(list(self.waiting), OVERLOADED)
            self.broken_off = True

    @rule()
    def mend(self) -> None:
        self.bulkhead.mend()
        self.broken_off = False

    @rule(sure=st.integers(0, 9))
    def close(self, sure: int) -> None:
        if sure == 0:
            rest = [*self.waiting, *self.running]
            found = self.bulkhead.close("over")
            expected = [] if self.closed else sorted(job.serial for job in rest)
            assert sorted(job.serial for job in found) == expected
            self.forget(rest, CLOSED)
            self.closed = True

    @invariant()
    def agrees(self) -> None:
        assert len(self.bulkhead) == len(self.waiting) + len(self.running) <= WORKERS + QUEUE
        assert list(self.bulkhead.waiting) == self.waiting
        assert {key: n for key, n in self.bulkhead.outcomes.items() if n} == self.outcomes
        due_s = min((job.due_s for job in (*self.waiting, *self.running)), default=inf)
        assert self.bulkhead.earliest_s <= due_s


TestBulkhead = BulkheadMachine.TestCase


def test_a_token_bucket_gives_a_burst_and_then_its_rate() -> None:
    bucket = TokenBucket(3, 2.0, now_s=10.0)
    assert [bucket.take(10.0) for _ in range(4)] == [True, True, True, False]
    assert bucket.wait_s(10.0) == 0.5
    assert not bucket.take(10.4)
    assert bucket.take(10.5)
    assert not bucket.take(10.5)


def test_a_token_bucket_never_holds_more_than_its_burst() -> None:
    bucket = TokenBucket(2, 100.0, now_s=0.0)
    assert [bucket.take(1_000_000.0) for _ in range(3)] == [True, True, False]
