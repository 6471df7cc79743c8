"""The bounds of the control plane, each with its reason."""

from __future__ import annotations

GROUP_PARTS = 100
"""Decisions of one turn of the placement process, those that write nothing among them: a few
milliseconds of the shard's thread."""
PLACEMENTS_WAITING = 4_000
"""Placements that may wait before further ones are refused: a second of the store's commits."""
RECONNECT_FIRST_S = 0.2
"""Wait before a lost agent is looked for again; it doubles."""
RECONNECT_MOST_S = 5.0
"""Longest such wait: a host is back within seconds of being reachable."""
GREET_S = 10.0
"""Longest that an agent may take to answer a greeting, or a heartbeat, before it counts as lost."""
HEARTBEAT_S = 5.0
"""How often a session asks whether its agent still answers: with the above, a host that hangs is
told as unreachable within a quarter of a minute, and each costs a message in five seconds."""
MISSED_S = 30.0
"""How long a host that this session has never met may be away before its instances are told: at a
start of the node its agent looks at it first, and takes seconds for that."""
REPORT_ENTRIES = 30
"""Journal entries of one transaction: three writes each at most, below the store's 100."""
KEPT_KEYS = 90
"""Addresses, those of hardware among them, that are kept for one stranger: they are given back in
one transaction, the end of an operation's step with its own writes."""
SETTLE_AT_ONCE = 64
"""Specs and removals that are open with a host at one time: it does that many at once anyway."""
SETTLE_S = 300.0
"""How long a host may take over what is settled with it."""
SETTLE_SNAPSHOT_S = 10.0
"""How long others wait for an owed snapshot to be dropped: its instance's actor does that between
two steps, and keeps it waiting while the instance starts, stops or backs off, which may take an
hour. It is dropped in its time all the same, and the debt is settled when it is asked for again."""
SETTLE_AGAIN_S = 60.0
"""How long after a host that is ready did not do what it owes, or not take a spec, it is asked
again: what it refuses it seldom does a moment later, and each asking is a record of its agent's."""
SHUTDOWN_MS = 500
"""How long a session or placement may take to end: what it gives back then takes no time, and one
that waits for the store, the catalog or an agent cannot hear of its end before it has that."""
BACKFILL_AT_ONCE = 64
"""Instances of before wires were claimed that are asked for together: others are placed between."""
BACKFILL_SLICE = 500
"""Claims looked at in one turn: a few milliseconds of the shard's thread."""
EXPIRE_EVERY_S = 600.0
"""How often finished operations are looked through for those that are old enough to go."""
EXPIRE_BATCH = 90
"""Operations forgotten in one transaction."""
OPERATIONS_RUNNING = 20_000
"""Instances that operations may be about at one time: minutes of work for one control node."""
