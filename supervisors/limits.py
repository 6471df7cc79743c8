"""Every bound of the runtime, each with its reason: change a number here and nowhere else."""

from __future__ import annotations

MESSAGES_PER_TURN = 64
"""Messages one process may handle before the others get their turn: long enough to amortise the
turn, short enough that a flooded process delays its neighbours by microseconds."""

MACHINE_EVENTS_PER_MESSAGE = 4
"""Events a state machine handles before it asks to go on: 64 such requests fill its turn, which is
about a millisecond, so one that inserts events without end delays its neighbours no more."""

TURNS_PER_SLICE = 256
"""Turns before an asyncio-hosted shard gives the loop back, so that gRPC streams keep moving."""

SLICE_S = 0.002
"""Time before an asyncio-hosted shard gives the loop back, whatever the turn count: as soon as it
looks at the clock, which it does after each message that takes a quarter of this."""

MESSAGES_PER_CLOCK_CHECK = 8
"""Messages of short turns between two looks at the clock inside a slice, fewer if they are slow: a
look costs about a tenth of a turn."""

MESSAGES_BEFORE_CLOCK_CHECK = 4
"""Messages before the first look at the clock in a slice: if they are slow, the loop has waited for
so many. While those of one turn are fast each further look comes after twice as many."""

MAILBOX_MESSAGES = 1_000_000
"""Default mailbox bound: high enough never to be met by a sane program, low enough that a
process which stopped reading is refused before it takes the machine's memory."""

BREAKER_FAILURES = 5
"""Failures in a row that open a circuit breaker: one may be chance, five are an outage."""

CALL_TIMEOUT_S = 5.0
"""Default patience of a call (OTP: gen_server:call/2)."""

INIT_INLINE_DEPTH = 24
"""Nested starts that run inside the starter's own turn; deeper ones take turns of their own, since
each level costs about six Python frames and the interpreter allows a thousand."""

TIMER_TICK_S = 0.001
"""Resolution of the timer wheel (OTP's timers have the same)."""

TIMER_SLOTS = 8_192
"""Slots of the wheel: one turn of it is 8.2 s, which holds every default timeout at one level."""

TIMER_STALE_ENTRIES = 65_536
"""Entries cancelled, or of dead processes, that the wheel tolerates before a sweep: about 10 MB at
the worst."""

TIMER_SLACK_S = 0.005
"""Least time between two wake-ups of an asyncio loop for timers alone: each costs the loop about
fifty microseconds, so that dense timers are served in batches. A lone timer is on time."""

TIMERS_PER_TURN = 4_096
"""Timers fired before the run queue gets its turn again, so that a million timers due at once
cannot hold the loop."""

DEAD_LETTER_SAMPLES = 64
"""Dead letters kept for a person to look at; all are counted."""

REPORT_SAMPLES = 256
"""Recent reports kept by a node for the observer."""

REPORT_DEPTH = 30
"""Depth to which a report is formatted: each level of nesting costs one and each further element
of a list too, so that a huge value is cut before it is written out."""

REPORT_CHARACTERS = 8_192
"""Characters of one formatted report: a log line that a collector will still accept."""

CLEAN_UP_AWAITS = 16
"""Awaits that are skipped in the clean-up of a handler whose process has ended: more than one would
write by hand, and an end to one that awaits in a loop."""

CRASH_FRAMES = 16
"""Innermost stack frames a crash reason keeps."""

ACTIVATION_MESSAGES = 1_024
"""Messages kept for one passive process while it is brought back: what arrives in a few turns."""

PASSIVATE_S = 600.0
"""Idle seconds after which a passive process is put away, if nothing else is said."""

STREAM_TASKS = 16
"""Tasks a stream runs at once if nothing else is said: enough to overlap waits, few enough for
whatever the tasks call."""

SHUTDOWN_WORKER_MS = 5_000
"""Default patience with a worker that is asked to shut down (OTP)."""

FEED_CHANGES = 10_000
"""Changes one observer may lag behind before its feed ends with an overflow mark."""

STUCK_TURN_S = 2.0
"""A turn that runs longer than this is abandoned by the watchdog."""

SLOW_TURN_S = 0.020
"""A turn that runs longer than this is counted and its stack is logged."""

WATCHDOG_PERIOD_S = 0.050
"""How often the watchdog looks at the shard."""

ABANDONED_THREADS = 8
"""Abandoned scheduler threads that may still be alive before the node calls itself unhealthy."""

HEART_PATIENCE_S = 10.0
"""Silence of a node after which its heart kills and restarts it."""

HEART_GRACE_S = 30.0
"""Time a node has to end after its heart passed a signal on; then it is killed. Longer than any
default shutdown takes, shorter than what init systems grant."""

HEART_LONGEST_S = 86_400.0
"""Longest patience and grace of a heart: what is silent for a day is dead."""

HEART_BEAT_S = 1.0
"""How often a node's shard beats towards its heart."""

PORT_QUEUE_JOBS = 128
"""Jobs that may wait for a port worker before callers get an overload error at once."""

PORT_WORKERS = 4
"""Default number of workers of a port."""

PORT_DEADLINE_S = 10.0
"""Default patience with one port job."""

PORT_FRAME_BYTES = 1024 * 1024
"""Largest request to and reply from a port: reading a megabyte of JSON holds the interpreter for up
to 40 ms, and the shard with it; what is larger goes through a file or a socket of its own."""

PORT_START_S = 30.0
"""Time a worker has to import its modules before it is killed and counted as a failed start."""

PORT_FAILED_STARTS = 3
"""Workers in a row that may end before they are ready; then the port breaks and its supervisor
decides."""

PORT_REPLACEMENTS = 16
"""Workers a port replaces at once, whatever they died of."""

PORT_REPLACEMENTS_PER_S = 20.0
"""Workers a port replaces a second after that: forking them costs a tenth of one core at most."""

PORT_CLOSE_S = 2.0
"""Time a zygote has to bury its killed workers when a port is closed; then it is killed itself."""

LOST_THREADS = 4
"""Stuck worker threads a thread port replaces before it breaks its circuit."""

PEER_FRAMES = 4_096
"""Frames kept for a peer whose link is suspended."""

PEER_BYTES = 16 * 1024 * 1024
"""Bytes of frames kept for a peer whose link is suspended."""

PEER_SUSPENDED_S = 5.0
"""How long a link may be suspended before it is lost: longer than a broken connection takes to
come back, short enough that a call's default timeout tells the same story."""

PEER_WINDOW_FRAMES = 65_536
"""Frames sent on a link that is up and not acknowledged yet; beyond it messages are refused, so
that a peer which stopped reading meets its senders and not this node's memory."""

PEER_WINDOW_BYTES = 64 * 1024 * 1024
"""Bytes of such frames."""

PEER_SIGNAL_FRAMES = 1_048_576
"""Frames at which even signals, which no one may refuse, make a link that is up a lost one."""

BATCH_FRAMES = 512
"""Frames that travel together: enough to amortise a write, few enough to leave turns between."""

BATCH_BYTES = 1024 * 1024
"""Bytes of frames that travel together, unless one alone is larger: with the largest payload on
top a batch stays under the 4 MiB that gRPC accepts by default."""

PAYLOAD_BYTES = 1024 * 1024
"""Largest encoded message, reply or reason between nodes; send larger things in parts."""

PAYLOAD_DEPTH = 64
"""Nesting of a payload, so that no peer's data can exhaust the interpreter's stack."""

REASON_CHARACTERS = 2_048
"""Characters kept of a part of a reason that crosses as text only."""

MEMBERSHIP_GROUPS = 256
"""Process groups told in one frame when two nodes meet."""

MEMBERSHIP_MEMBERS = 8_192
"""Memberships told in one frame when two nodes meet: about 64 KB."""

TURNS_PER_TIMING = 64
"""One turn in this many is timed, on average and at uneven distances, so that processes which take
turns in a fixed rhythm are all met."""

TURN_SAMPLES = 256
"""Timed turns kept before they are sorted into histograms, in one go while the code is warm."""

METRIC_CLASSES = 100
"""Process classes that have their own time series; what further ones do is counted as "other"."""

METRIC_CAUSES = 20
"""Causes of dead letters with their own time series, likewise."""

SNAPSHOT_ROWS = 10_000
"""Rows of one snapshot: a tenth of a second of work, spread over slices."""

SNAPSHOT_CHILDREN = 1_000
"""Children listed of one process in a snapshot; all are counted."""

SNAPSHOT_DEPTH = 64
"""Levels of the tree a snapshot goes down."""

SNAPSHOT_ROWS_PER_SLICE = 32
"""Rows made before the run queue gets its turn again: about a third of a millisecond."""

SNAPSHOT_ROOTS = 10_000
"""Processes without a parent the shard lists for the observer; supervisors have as many again."""

SNAPSHOT_LINKS = 1_000
"""Links of one process looked at for children it started itself."""

SNAPSHOT_CHARACTERS = 200
"""Characters of a name, an id or a reason in a snapshot or a change."""

FOOTPRINT_VALUES = 64
"""Attributes of one process that a memory estimate looks at, and values of one attribute."""

FOOTPRINT_MESSAGES = 16
"""Waiting messages a memory estimate looks at; the rest is taken to be alike."""

OBSERVE_CLIENTS = 8
"""Terminals that may watch one process; each costs the shard a little per change."""

OBSERVE_REQUEST_BYTES = 64 * 1024
"""Longest request line an observe server takes: a screen's worth of opened processes."""

OBSERVE_ROWS_PER_LINE = 64
"""Rows in one line to a client: encoding them holds the interpreter for half a millisecond."""

OBSERVE_POLL_S = 0.1
"""How often an observe server looks for changes while somebody watches."""

OBSERVE_REFRESH_S = 1.0
"""How often a terminal asks for a fresh snapshot."""

GC_YOUNG_OBJECTS = 10_000
"""Net new containers before a young collection: about half a millisecond each."""

GC_YOUNG_ROUNDS = 5
"""Young collections before the middle one, whose survivors are frozen: at most three ms."""

GC_FULL_AFTER_OBJECTS = 1_000_000
"""Frozen containers, some of which may have died in cycles, before a full collection is due."""

GC_QUIET_S = 5.0
"""Quiet time before a full collection may stop everything for up to a second."""

SCENARIO_BYTES = 16 * 1024 * 1024
"""Longest text of a scenario: some 500,000 workers or steps, run in a minute."""

SCENARIO_DEPTH = 256
"""Nesting of a scenario's JSON; two levels a supervisor. The reasons of a start that failed at
the bottom nest as deep, and are written by recursion."""

SCENARIO_MS = 2**32 - 1
"""Longest sleep and longest shutdown of a scenario: OTP's receive takes no longer timeout."""

SCENARIO_SHOWN_CHARACTERS = 60
"""Characters of a faulty value that are quoted in the reason."""
