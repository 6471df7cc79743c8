"""The bounds of the API, each with its reason."""

from __future__ import annotations

# -- what a call may be ---------------------------------------------------------------------------

RECEIVE_BYTES = 4 * 1024 * 1024
"""One message from a client: gRPC's own default; a batch of 1,000 instances fits."""
STRING_CHARACTERS = 4_096
"""Any text in a request that has no narrower bound: a page of text."""
LONG_TEXT_CHARACTERS = 65_536
"""Values of metadata: a user-data script; the record's own bound holds for all together."""
ITEMS = 1_000
"""Entries of a list or a map in a request that has no narrower bound: one batch."""
FILTER_CHARACTERS = 2_048
"""A filter: a screen of text, parsed in well under a millisecond."""
COMMAND_BYTES = 128 * 1024
"""Arguments and environment of an exec: what Linux takes for one argument."""
FRAME_BYTES = 64 * 1024
"""Bytes of a terminal or a log in one frame."""
CHUNK_BYTES = 1024 * 1024
"""Bytes of an image, a backup or a bundle in one frame."""
VMADM_BYTES = 1024 * 1024
"""A vmadm payload: metadata at its bound, written in JSON with escapes, fits several times."""

# -- what an answer may be ------------------------------------------------------------------------

STATUS_BYTES = 4_800
"""A whole google.rpc.Status: with base64's third it stays below gRPC's soft bound of 8 KiB."""
MESSAGE_BYTES = 480
"""The message of a status, which travels a second time beside the details."""
VIOLATIONS = 40
"""Violations that are listed; the rest is counted."""
VIOLATION_BYTES = 160
"""The text of one."""
DETAIL_BYTES = 256
"""One value in an ErrorInfo's metadata."""
DETAILS = 8
"""Values in an ErrorInfo's metadata."""
CACHED_MESSAGES = 20_000
"""Resources whose bytes are kept ready, of each kind: about 20 MB of instances."""

# -- admission ------------------------------------------------------------------------------------

READS = 2_000
"""Reads that may wait for a host's answer at one time."""
WRITES = 1_024
"""Mutations in flight: what one control node commits in well under a second."""
WATCHES = 1_000
"""Watches, consoles and uploads open at one time: an idle stream holds about 50 KB."""
WAITS = 4_000
"""WaitOperation calls that wait at one time: each holds a stream and a timer."""
OVERLOAD_RETRY_S = 0.5
"""When a caller who was refused for load should try again."""
PROBE_WRITTEN_S = 2.0
"""How long a probe's answer waits until it is written down: a commit, on a host that is there."""
CONNECTIONS = 4_000
"""Connections to the TLS port; below the node's limit of open files."""
HANDSHAKE_S = 10
"""Time for a TLS handshake: who connects and says nothing is gone after this."""
IDLE_S = 300
"""A connection without a call is closed after this; a channel opens it again by itself."""

# -- watches --------------------------------------------------------------------------------------

CHANGES_KEPT = 16_384
"""Changes in memory that a watch goes on from without asking the store: seconds of the busiest
fleet, minutes of a usual one, at about 200 bytes each."""
WATCH_LAG = 4_096
"""Changes that a watcher may be behind what it had when it began, before it is ended."""
FRAME_EVENTS = 256
"""Changes in one frame of a watch."""
FRAME_WATCH_BYTES = 1024 * 1024
"""Bytes in one frame of a watch, unless a single commit has more."""
WATCH_DELAY_S = 0.1
"""How long changes are gathered into one frame where the caller does not say."""
WATCH_DELAY_MOST_S = 5.0
"""The most a caller may say."""
HEARTBEAT_S = 15.0
"""Silence after which a frame with a fresh token is sent."""
HEARTBEAT_LEAST_S = 5.0
"""The least a caller may ask for: below it, signs of life cost more than changes."""
HEARTBEAT_MOST_S = 60.0
"""The most a caller may ask for: middle boxes drop what is silent for longer."""
REPLAY_PAGE_KEYS = 10_000
"""Keys read at once to rebuild the state that an old token stands for."""
REPLAYS = 4
"""Watches that rebuild an old state at one time: each holds a copy of the store's index."""

# -- lists ----------------------------------------------------------------------------------------

LIST_SLICE = 500
"""Records that a list looks at before it gives the loop back: about two milliseconds."""

# -- waiting --------------------------------------------------------------------------------------

WAIT_MOST_S = 60.0
"""The longest that WaitOperation holds a call (AIP-151 lets the server choose)."""
READ_S = 30.0
"""Default deadline of a read."""
WRITE_S = 60.0
"""Default deadline of a mutation: accepting is a commit, the work goes on without the caller."""
DRAIN_S = 10.0
"""Grace of a shutdown for calls in flight."""

# -- the audit ------------------------------------------------------------------------------------

AUDIT_FILE_BYTES = 64 * 1024 * 1024
"""An audit file before the next is begun: about 200,000 entries."""
AUDIT_FILES = 16
"""Audit files kept: a gigabyte."""
AUDIT_RESERVE_BYTES = 1024 * 1024
"""Room on the disk held back for the lines of what makes room: a few hundred calls."""
AUDIT_WAITING = 10_000
"""Entries that may wait for the disk; refusals beyond that are counted, mutations wait."""
AUDIT_TEXT_CHARACTERS = 512
"""A text in an audit entry."""

# -- uploads --------------------------------------------------------------------------------------

UPLOADS = 8
"""Uploads that are written at one time: each keeps a disk busy."""
UPLOAD_BYTES = 64 * 1024 * 1024 * 1024
"""One upload: larger images come from a URL, or from a file on the node."""
UPLOAD_KEPT_S = 24 * 3600.0
"""How long bytes wait to be gone on with, or imported."""

# -- looking inside -------------------------------------------------------------------------------

OPEN_S = 30.0
"""Time for the first frame of a stream, which says what it is for."""
LOG_BYTES = 1024 * 1024
"""The end of a log that is read."""
EVENTS_LISTED = 20_000
"""Events that are looked through for a list without a parent."""
CREATE_CHUNK_KEYS = 99
"""Keys that accepting one chunk of a batch compares, of its instances and their images: with the
operation's own the store's 100. It writes fewer: no image is written."""
INPUT_BYTES = 192 * 1024
"""Specs of one chunk of a batch as they wait in one value: below the store's 256 KiB."""
DRAFTS_SLICE = 25
"""Requests of a batch that are drafted before the loop is given back."""
