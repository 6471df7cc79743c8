"""What to do when an instance has ended: one decision, from its policy, its memory and the end."""

from __future__ import annotations

from typing import Literal

from fifo.model.instance import Exit, RestartPolicy
from fifo.model.records import Record, Value


class Memory(Record, frozen=True, tag="restart_memory/1"):
    """What an agent remembers of an instance's ends; written before it acts on one.

    `ends` are UTC seconds of the latest ends, oldest first, as many as the policy counts.
    `ended` is the latest start whose end was dealt with. `stayed_down` is the generation in which
    it ended for good, or failed: a later one may ask for it again; `crash_loop` is then why it
    failed. `generation` is the newest that the host was brought to, `pending` what of it waits for
    the next start. `back_at` is the UTC second of the next start, 0 if none is waited for, and
    `back_s` how long that wait was to be, for a clock that is set back meanwhile.
    `stop_by` is the UTC second by which a stop that was begun forces it, 0 if none was. `lost` is
    the latest start of which the data was found gone: of those up to it nothing is left to lose.
    """

    uid: str
    start_id: int = 0
    ended: int = 0
    boot_id: str = ""
    boot_generation: int = 0
    ends: tuple[float, ...] = ()
    restarts: int = 0
    stayed_down: int = 0
    crash_loop: str = ""
    last_exit: Exit | None = None
    back_at: float = 0.0
    back_s: float = 0.0
    generation: int = 0
    pending: tuple[str, ...] = ()
    stop_by: float = 0.0
    lost: int = 0


class Decision(Value, frozen=True):
    """`restart` after `after_s`, `stay_down` until a later generation, or `give_up` as failed."""

    what: Literal["restart", "stay_down", "give_up"]
    after_s: float = 0.0
    reason: str = ""


def decide(policy: RestartPolicy, ends: tuple[float, ...], end: Exit, jitter: float) -> Decision:
    """Decide after an end that nobody asked for; `ends` are the earlier ones, `jitter` in [0, 1).

    A guest that ends in order stays down under `on_failure`, any end does under `never`. As many
    ends as the policy's `attempts` within its window are a crash loop, and so is an end for the
    guest's own resets. An unknown end is a failure.
    """
    if policy.when == "never" or (policy.when == "on_failure" and end.orderly):
        return Decision(what="stay_down", reason=describe(end))
    if end.resets:
        return Decision(what="give_up", reason=describe(end))
    recent = within(policy, ends, end.at)
    if len(recent) + 1 >= policy.attempts:
        told = f"{len(recent) + 1} ends within {policy.window_s:g} s, the last: {describe(end)}"
        return Decision(what="give_up", reason=told)
    wait_s = _wait_s(policy, len(recent))
    return Decision(what="restart", after_s=wait_s * (1.0 + 0.2 * jitter), reason=describe(end))


def _wait_s(policy: RestartPolicy, restarts: int) -> float:
    try:
        grown = policy.first_s * policy.factor**restarts
    except OverflowError:
        # A factor of 100 leaves the range of floats after 154 ends: longer than the longest.
        return policy.most_s
    return min(policy.most_s, grown)


def within(policy: RestartPolicy, ends: tuple[float, ...], now: float) -> tuple[float, ...]:
    """Keep the ends that still count, at most as many as the policy's attempts.

    When the clock was set back, ends from ahead of it count for one window, not until it is there
    again.
    """
    recent = tuple(at for at in ends if abs(now - at) <= policy.window_s)
    return recent[-policy.attempts :]


def describe(end: Exit) -> str:
    """Say how an instance ended."""
    if end.not_started:
        return f"it could not be started: {end.not_started}"
    if end.resets:
        return f"its guest started anew {end.resets} times in a row: most likely it panics"
    if end.out_of_memory:
        limit_mib = end.memory_limit_bytes // 1024**2
        return "killed: out of memory" + (f" ({limit_mib} MiB)" if limit_mib else "")
    if end.signal is not None:
        return f"killed by signal {end.signal}"
    if end.code is not None:
        return f"exit code {end.code}"
    return "its end was not seen"
