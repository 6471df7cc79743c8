"""What an instance's actor does next, and what it remembers: functions of values alone.

The order is the rule: nothing of what is to go is started, what was asked for last counts, and an
instance is brought up to date before it is started.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Literal

import msgspec

from fifo.model.restart import Memory, decide, describe, within

if TYPE_CHECKING:
    from fifo.agent.intent import Intent
    from fifo.hypervisors.driver import Observed
    from fifo.model.instance import Exit, InstanceSpec, State
    from fifo.model.instance_states import Happening
    from fifo.model.restart import Decision

Step = Literal["create", "update", "start", "stop", "delete", "settle", "rest"]
"""`settle` is the event "stop" of a state in which nothing runs; `rest` is to wait."""

_WISHES: Final = (
    "generation", "wanted", "boot_generation", "patience", "unasked", "deleting", "autoboot",
    "restart",
)  # fmt: skip
"""Fields of a spec that are for the actor, and nothing of the host's business."""


def next_step(
    state: State, intent: Intent, memory: Memory, *, stale: bool = False, due: bool = False
) -> Step:
    """Say what to do next in a state.

    `stale` says that the host has an older spec, `due` that the wait of a back-off is over.
    """
    if intent.removing or state == "deleting":
        return "delete"
    if state == "provisioning":
        return "create"
    if intent.spec.wanted == "stopped":
        return _towards_rest(state, intent.spec, memory, stale=stale)
    return _towards_running(state, intent.spec, memory, stale=stale, due=due)


def is_to_stop(intent: Intent, memory: Memory) -> bool:
    """Tell whether an instance that runs has to end."""
    spec = intent.spec
    return (
        intent.removing or spec.wanted == "stopped" or spec.boot_generation > memory.boot_generation
    )


def _towards_running(
    state: State, spec: InstanceSpec, memory: Memory, *, stale: bool, due: bool
) -> Step:
    if state == "running" and spec.boot_generation > memory.boot_generation:
        return "stop"
    asked = spec.asked > memory.stayed_down
    if stale and (state == "running" or (state == "stopped" and asked)):
        return "update"
    if state in {"stopped", "failed"} and asked:
        return "start"
    if state == "backing_off" and (due or spec.asked > memory.generation):
        return "start"
    return "rest"


def _towards_rest(state: State, spec: InstanceSpec, memory: Memory, *, stale: bool) -> Step:
    if state == "running":
        return "stop"
    if state == "backing_off" or (state == "failed" and spec.generation > memory.stayed_down):
        return "settle"
    return "update" if stale and state == "stopped" else "rest"


def is_stale(host_has: InstanceSpec | None, wanted: InstanceSpec, memory: Memory) -> bool:
    """Tell whether the host has to be told of a spec; `host_has` is what it is known to have."""
    if host_has is None:
        return memory.generation < wanted.generation
    kept = {name: getattr(wanted, name) for name in _WISHES}
    return msgspec.structs.replace(host_has, **kept) != wanted


def found(observed: Observed | None, memory: Memory) -> Happening:
    """Name what a look at the host has shown, of one with that memory."""
    if observed is None:
        return "found_lost" if memory.start_id > memory.lost else "found_absent"
    return "found_running" if observed.state == "running" else "found_stopped"


def before(intent: Intent, memory: Memory) -> State:
    """Say in which state an actor was that has left this behind."""
    if intent.removing:
        return "deleting"
    if memory.crash_loop:
        return "failed"
    if memory.back_at:
        return "backing_off"
    return "starting" if memory.start_id > memory.ended else "provisioning"


def of_a_stranger(uid: str, start_id: int) -> Memory:
    """Make the memory of one that was started here, as others say, and of which nothing is known.

    None of its starts counts as under way: what runs is taken over, and what is absent is lost.
    """
    return Memory(uid=uid, start_id=start_id, ended=start_id)


def is_expected(memory: Memory, start_id: int) -> bool:
    """Tell whether a start that is found running is one that was ordered and has not ended."""
    return memory.ended < start_id <= memory.start_id


def running(intent: Intent, memory: Memory, observed: Observed) -> Memory:
    """Remember one that was found running, by whomever it was started.

    A start that nobody here remembers is as good as the one that was asked for.
    """
    unknown = not is_expected(memory, observed.start_id)
    return msgspec.structs.replace(
        memory,
        start_id=observed.start_id,
        ended=min(memory.ended, observed.start_id - 1),
        boot_id=observed.boot_id or memory.boot_id,
        boot_generation=intent.spec.boot_generation if unknown else memory.boot_generation,
        crash_loop="",
        back_at=0.0,
        stop_by=0.0 if unknown else memory.stop_by,
    )


def reached(intent: Intent, memory: Memory) -> Memory:
    """Remember that the host was brought to the generation.

    What stays down until a later one stays down until one later than this, if nobody asked for it.
    """
    spec = intent.spec
    stays = spec.asked < spec.generation and spec.asked <= memory.stayed_down
    return msgspec.structs.replace(
        memory,
        generation=spec.generation,
        stayed_down=spec.generation if stays else memory.stayed_down,
    )


def before_start(intent: Intent, memory: Memory, observed: Observed | None, boot: str) -> Memory:
    """Remember a start before it is made, under a number that none before has had.

    Also where one was remembered and is not on the host: it may come yet, and end.
    """
    on_host = observed.start_id if observed is not None else 0
    start_id = max(memory.start_id, on_host) + 1
    spec = intent.spec
    asked_anew = spec.asked > memory.generation
    return msgspec.structs.replace(
        memory,
        start_id=start_id,
        boot_id=boot,
        boot_generation=max(spec.boot_generation, memory.boot_generation),
        generation=spec.generation,
        ends=() if asked_anew else memory.ends,
        crash_loop="",
        back_at=0.0,
        pending=(),
        stop_by=0.0,
    )


def stop_by(intent: Intent, memory: Memory, usual_s: float, utc: float) -> float:
    """Say by which UTC second a stop that is asked for now has to be over.

    `usual_s` is the patience with those of its kind. Once begun a stop gets no more time, whoever
    asks again; what a caller said is for a generation that is not reached yet.
    """
    spec = intent.spec
    own_s = spec.patience_s if spec.generation > memory.generation else None
    patience_s = 0.0 if intent.removing else usual_s if own_s is None else own_s
    by = utc + patience_s
    return min(by, memory.stop_by) if memory.stop_by else by


def after_end(
    intent: Intent, memory: Memory, start_id: int, end: Exit, jitter: float
) -> tuple[Memory, Decision]:
    """Decide after an end that nobody asked for, and remember it."""
    policy = intent.spec.restart
    decision = decide(policy, memory.ends, end, jitter)
    ends = (*within(policy, memory.ends, end.at), end.at)[-policy.attempts :]
    remembered = msgspec.structs.replace(
        memory,
        ended=max(start_id, memory.ended),
        last_exit=end,
        ends=ends,
        back_at=0.0,
        stop_by=0.0,
    )
    generation = intent.spec.generation
    if decision.what == "restart":
        return msgspec.structs.replace(
            remembered,
            back_at=end.at + decision.after_s,
            back_s=decision.after_s,
            restarts=memory.restarts + 1,
        ), decision
    why = decision.reason if decision.what == "give_up" else ""
    return msgspec.structs.replace(
        remembered, stayed_down=generation, generation=generation, crash_loop=why
    ), decision


def after_stop(memory: Memory, start_id: int, end: Exit | None) -> Memory:
    """Remember an end that was asked for; it counts for nothing."""
    last = end if end is not None else memory.last_exit
    ended = max(start_id, memory.ended)
    return msgspec.structs.replace(memory, ended=ended, last_exit=last, stop_by=0.0)


def after_reboot(intent: Intent, memory: Memory, boot: str) -> Memory:
    """Remember that the host was rebooted: what ran then ended through no fault of its own.

    Without `autoboot` it stays down until a later generation asks for it.
    """
    kept_down = intent.spec.wanted == "running" and not intent.spec.autoboot
    return msgspec.structs.replace(
        memory,
        boot_id=boot,
        ended=memory.start_id,
        back_at=0.0,
        stop_by=0.0,
        stayed_down=max(memory.stayed_down, intent.spec.generation if kept_down else 0),
    )


def given_up(intent: Intent, memory: Memory, why: str) -> Memory:
    """Remember that this generation has failed; a later one may try again."""
    generation = intent.spec.generation
    return msgspec.structs.replace(
        memory, stayed_down=generation, generation=generation, crash_loop=why, back_at=0.0
    )


def after_loss(intent: Intent, memory: Memory, why: str) -> Memory:
    """Remember that the data of all starts so far is gone; a later generation makes it anew."""
    return msgspec.structs.replace(
        given_up(intent, memory, why), ended=memory.start_id, lost=memory.start_id, stop_by=0.0
    )


def after_return(memory: Memory, observed: Observed, why: str) -> Memory:
    """Remember that what was lost is there again, as after its disk was mounted.

    One that does not run stays failed until a later generation, and `why` is then its reason.
    """
    reason = "" if observed.state == "running" else why
    return msgspec.structs.replace(memory, lost=observed.start_id - 1, crash_loop=reason)


def wait_s(memory: Memory, intent: Intent, utc: float) -> float:
    """Give how long to wait for the next start; never longer than was decided."""
    # A memory of before it was kept has none.
    most_s = memory.back_s or intent.spec.restart.most_s * 1.2
    return min(max(0.0, memory.back_at - utc), most_s)


def why_it_ended(end: Exit | None) -> str:
    """Say how it ended, for people."""
    return describe(end) if end is not None else "it had ended"
