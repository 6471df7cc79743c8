"""Every bound of the store, each with its reason: change a number here and nowhere else."""

from __future__ import annotations

# -- what a request may hold (design.md section 5; below etcd's own defaults, so that every request
# -- one engine takes the others take too) --------------------------------------------------------

TXN_COMPARES = 100
"""Compares of one txn (etcd's default is 128)."""

TXN_OPERATIONS = 100
"""Operations in each branch of a txn (etcd's default is 128)."""

TXN_BYTES = 1024 * 1024
"""Keys, values and operands of one txn together: etcd refuses 1.5 MiB with its framing."""

VALUE_BYTES = 256 * 1024
"""One value: what is larger is a file, and has no place in a commit."""

KEY_BYTES = 512
"""One key; the shortest has one byte."""

RANGE_KEYS = 10_000
"""Keys in one reply, by default and at most: about three milliseconds of the shard's thread."""

REPLY_BYTES = 16 * 1024 * 1024
"""Bytes of keys and values read from disk for one reply; what does not fit sets `more`."""

DELETE_KEYS = 10_000
"""Keys that one txn may delete: about ten milliseconds of the shard's thread; delete in parts."""

LEASE_TTL_S_MIN = 1
"""Shortest life of a lease: below it, a garbage collection could end an owner."""

LEASE_TTL_S_MAX = 30 * 24 * 3600
"""Longest life of a lease: what lives longer is no lease."""

LEASES = 10_000
"""Leases at one time: one a control node and a few a workflow; expiry looks at each."""

LEASE_KEYS = 100_000
"""Keys of one lease: they all end in one revision, on the shard's thread."""

# -- what may wait --------------------------------------------------------------------------------

PENDING_TXNS = 8_192
"""Commits that may wait for the disk before further ones are refused: about a second of work."""

PENDING_BYTES = 64 * 1024 * 1024
"""Bytes of such commits."""

PENDING_READS = 1_024
"""Reads that may wait for the reader thread."""

BATCH_TXNS = 256
"""Commits that share one fsync: settling more would hold the shard's thread beyond a slice."""

BATCH_BYTES = 8 * 1024 * 1024
"""Bytes of such commits: at most one large txn above it, and the log file stays small."""

# -- watches --------------------------------------------------------------------------------------

WATCHES = 4_096
"""Watches at one time; those of one range share the work of one."""

WATCH_QUEUE_EVENTS = 10_000
"""Events that may wait for one watcher before its watch is ended: a batch create on every host."""

WATCH_QUEUE_BYTES = 16 * 1024 * 1024
"""Bytes of keys and values of such events."""

WATCH_CHUNK_EVENTS = 1_000
"""Events read from history at once, unless one txn alone has more: about ten milliseconds."""

WATCH_CHUNK_BYTES = 4 * 1024 * 1024
"""Bytes of keys and values of such events, likewise."""

# -- size -----------------------------------------------------------------------------------------

LIVE_BYTES = 1024 * 1024 * 1024
"""Keys and current values, which are in memory: beyond it puts answer StoreFull, deletes go on."""

DATABASE_BYTES = 8 * 1024 * 1024 * 1024
"""The database file with its history: beyond it commits answer StoreFull until compaction."""

ALARM_PERCENT = 80
"""Share of either bound at which the statistics raise the alarm: room for a day of repair."""

HISTORY_S = 600.0
"""Least age of what compaction may drop (design.md: watch history is kept at least 10 minutes)."""

# -- the SQLite engine ----------------------------------------------------------------------------

CHECKPOINT_PAGES = 4_000
"""Pages in the log file before a commit moves them into the database: 16 MB, a few milliseconds."""

SWEEP_ROWS = 500
"""Rows looked at between two commits while a compaction frees room: about three milliseconds."""

ROWS_PER_STATEMENT = 64
"""Rows written by one SQL statement: each statement gives the interpreter lock away and has to get
it back from the shard's thread."""

MEASURE_S = 1.0
"""How often the writer measures the size of the files."""

RESERVED_PAGES = 256
"""Pages above the bound for commits that only delete: a txn's worth of tombstones, a megabyte."""

RESERVE_BYTES = 2 * 1024 * 1024
"""Room on the disk held back for when it is full: the commits of a few dozen stops and deletions,
each of one to three pages in the log file; what they delete makes room itself."""

CACHED_STATEMENTS = ROWS_PER_STATEMENT + 32
"""Statements the writer keeps compiled: one for each number of rows, and the others."""

LOG_BYTES = 64 * 1024 * 1024
"""What is left of the log file after a burst."""

COMPACT_EVERY_S = 60.0
"""How often compaction is looked at: history is kept up to so much longer than it must be."""

TAKEN_S = 5.0
"""How long an owner waits for a data directory that is taken: the last one may still close it."""

TAKEN_RETRY_S = 0.05
"""How often it looks meanwhile."""
