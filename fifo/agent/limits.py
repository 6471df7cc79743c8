"""Every bound of an agent, each with its reason; those shared with others are in fifo.model."""

from __future__ import annotations

# -- the journal ----------------------------------------------------------------------------------

TXN_OPERATIONS = 100
"""Operations of one moment that share a commit: as many as the store takes. A write that might
pass the bound begins the next commit; the largest one alone is a sweep's (`RESULTS_DROPPED`)."""
TXN_BYTES = 512 * 1024
"""Bytes of such writes: half of what the store takes, for one intent may have 200 KiB."""
WRITES_WAITING = 100_000
"""Writes that may wait for the disk in the journal's queue: a few for each of 10,000 instances;
beyond it the journal ends, and what it did not promise is not done. Its mailbox, which it empties
into the queue turn by turn, takes as many."""
WRITE_DEADLINE_S = 30.0
"""Time a full or busy store has to take a commit before the agent starts anew."""
WRITE_RETRY_S = 0.2
"""First wait before a commit is tried again; it doubles, up to five seconds."""
WRITE_RETRY_MOST_S = 5.0
JOURNAL_ENTRIES = 100_000
"""Entries kept for a session that is away: a day of a restart a minute on 70 instances, 40 MB.
Beyond it the oldest are dropped and counted (`fifo_agent_journal_dropped_total`), and a mark stays
in their place; the statuses in Hello make up for them."""
JOURNAL_DROP_ENTRIES = 1_000
"""Entries dropped at once then."""
REPORTS_HELD = 1_024
"""Newest entries kept in memory to be reported without reading them back: four messages."""
RESULT_S = 24 * 3600.0
"""Age of results that are dropped (design: section 7)."""
RESULTS = 100_000
"""Results remembered at most, the oldest go first: more than one a second for a day."""
RESULTS_DROPPED = 50
"""Results dropped by one write: half a commit, so that what is written beside a sweep shares it."""
SWEEP_S = 300.0
"""How often old results and the store's history are dropped: nobody watches an agent's store."""

# -- the driver -----------------------------------------------------------------------------------

PARALLEL_STARTS = 16
"""Starts at one time: enough to use a host's processors, few enough that each is quick."""
BOOT_STARTS = 4
"""Starts at one time after the host was rebooted: what runs already is not starved by the rest."""
PARALLEL_CREATES = 16
"""Creates at one time: they write to one disk."""
PARALLEL_LOOKS = 64
"""Looks at one time: after a crash every actor has one."""
ROUND_S = 60.0
"""How often the whole host is looked at: what no event tells of is noticed in a minute."""
PARALLEL_STOPS = 256
"""Stops with patience at one time: they wait for guests, which may take an hour, and for nothing
else, so that one that is forced has no use for a place among them."""
PARALLEL_OTHERS = 64
"""Everything else at one time."""
ORDERS_WAITING = 50_000
"""Orders and looks that may wait for their turn: a few for each of 10,000 instances; further ones
are answered with Unavailable. The mailbox of the driver's owner takes as many."""
LOOK_DEADLINE_S = 10.0
"""Time to look at one instance, to probe, to list."""
TRIAL_DEADLINE_S = 60.0
"""Time a host has that is asked to find out by trial what it can do: it may boot a guest."""
SIGHT_DEADLINE_S = 15.0
"""Time a driver that lost sight of its host has to find it again before it is asked anew."""
BLIND_S = 5.0
"""How long a host may be out of sight before its owner is told: a keeper that died is back within a
second, and whoever waits for the host meanwhile is served late and not refused."""
SIGHT_RETRY_S = 0.5
"""First wait before subscribing again; it doubles."""
SIGHT_RETRY_MOST_S = 30.0
CREATE_S = 300.0
"""Time a create may take, its image fetched (vmadm's own limit on provisioning)."""
START_DEADLINE_S = 60.0
"""Time a start may take: QEMU with its devices takes one second, a busy host ten times that."""
STOP_GRACE_S = 30.0
"""Time a stop may take beyond the patience it was given."""
UPDATE_DEADLINE_S = 60.0
DELETE_DEADLINE_S = 120.0
"""Time a delete may take: large disks are unlinked in the foreground."""
SNAPSHOT_DEADLINE_S = 300.0
"""Time a snapshot may take: qcow2 writes the memory of nothing, but merges on deletion."""
IMAGE_DEADLINE_S = 3_600.0
"""Time an image may take: 50 GB at 15 MB/s."""
STATS_DEADLINE_S = 5.0
CLEAN_UP_S = 10.0
"""Time a driver has to clean up after a call that was given up at its deadline."""
INSIDE_DEADLINE_S = 15.0
"""Time to attach to a console, start a command or read a log."""

# -- instances ------------------------------------------------------------------------------------

TELL_AFTER_S = 0.1
"""A passing state (starting, stopping) is told if it lasts so long; a fast one is not worth it."""
DOUBTS = 5
"""Times a verb whose outcome is not known is repeated before that is a failure."""
DOUBT_WAIT_S = 0.5
"""First wait before that; it doubles, up to half a minute."""
DOUBT_WAIT_MOST_S = 30.0
REMOVE_AGAIN_S = 600.0
"""Wait before a removal that the host refused is tried again, if nobody asks before."""
LOOK_AGAIN_S = 0.1
"""First wait after a look at the host that failed; it doubles, up to half a minute, without end:
nothing is done to an instance that cannot be seen."""
WISHES = 16
"""Snapshots and the like that may wait for one instance."""
ACTOR_BACKOFF_S = 0.05
"""Wait before an instance's actor is started again: back from the host's truth within a second."""
ACTOR_BACKOFF_MOST_S = 30.0
ADOPT_PATIENCE = 20
"""Times a new gateway waits for actors that are between two lives: two seconds."""
ADOPT_INSTANCES = 64
"""Actors started in one go while a host is adopted, so that commands come in between."""

# -- the front ------------------------------------------------------------------------------------

COMMANDS_WAITING = 20_000
"""Commands that may be under way: a batch of 1,000 on a host, several times."""
AGAIN_S = 0.1
"""Wait before a command is passed on again whose actor is between two lives."""
RESEND_S = 5.0
"""Time a session has to acknowledge a report before it is sent again: a lost link's time."""
SAMPLE_S = 10.0
"""How often instances are measured: Prometheus asks every 15 s."""
SAMPLE_FRESH_S = 1.0
"""How old numbers may be that somebody asked for: a terminal shows them anew once a second."""
SAMPLES_MISSED = 3
"""Measurings without a word of a halted guest after which it is taken to go on: one may fail."""
NAMED_USERS = 5
"""Users of an image that a refusal names."""
WHY_CHARACTERS = 200
"""Of the reason that an end is remembered with: a sentence; the log has the whole."""
