"""The keeper's bounds, each with its reason."""

from __future__ import annotations

from typing import Final

FRAME_BYTES_MAX: Final = 4 * 1024 * 1024
"""One frame: two full outputs in base64 (2.7 MiB), or an inventory of all that may be watched."""
OUTPUT_BYTES_MAX: Final = 1024 * 1024
"""Kept of a command's stdout, and as much of its stderr; what is beyond is read and counted."""
OUTPUT_BYTES_DEFAULT: Final = 64 * 1024
"""Kept when the caller does not say: more than `nft -j list` of a host with 50 zones."""
STDIN_BYTES_MAX: Final = 1024 * 1024
"""Input of a command: a whole host's firewall rules are a few hundred KB."""
CHUNK_BYTES: Final = 64 * 1024
"""Read at once from a pipe or a console: a pipe's default capacity."""
DEADLINE_MS_MAX: Final = 3_600_000
"""The longest command is the conversion of a disk image; an hour is ten times the usual."""
ARGUMENTS_MAX: Final = 1_024
"""Arguments or variables of a command: QEMU with 16 disks and 32 interfaces has about 300."""
ARGUMENT_BYTES_MAX: Final = 128 * 1024
"""One argument: Linux itself refuses longer ones (MAX_ARG_STRLEN)."""
NAME_CHARACTERS_MAX: Final = 128
"""An instance, start or console name: a uid and a suffix fit three times."""
COMMANDS_MAX: Final = 256
"""Commands at once: three pipes each stay below the usual 1,024 descriptors."""
CLIENTS_MAX: Final = 32
"""Connections: one node, its predecessor, and some operators."""
BACKLOG: Final = 16
"""Connections not yet accepted; the node reconnects with one."""
WATCHED_MAX: Final = 4_096
"""Instances and exec sessions of a host: an inventory of them fits into a frame."""
CONSOLES_MAX: Final = 1_024
"""Consoles: a full ring each is 64 MiB, the most the keeper may ever grow by them."""
RING_BYTES: Final = 64 * 1024
"""Console output replayed to who attaches: some thousand lines."""
INPUT_BYTES_MAX: Final = 64 * 1024
"""Console input a guest has not read yet: beyond it a write is refused."""
SLOW_BYTES: Final = 4 * 1024 * 1024
"""Unsent bytes at which a connection is a slow watcher and its consoles are detached: what a guest
says at full speed in a tenth of a second, in which a client that reads gets its turn."""
UNSENT_BYTES_MAX: Final = 16 * 1024 * 1024
"""Unsent bytes at which a connection is closed: some full answers and the whole journal fit."""
EXITS_KEPT_MAX: Final = 4_096
"""Exits no client has acknowledged: hours of a crash loop. The oldest are dropped, which who reads
learns from the first number that is kept; each instance's last one stays with it."""
STRAYS_MAX: Final = 1_024
"""Exit statuses of unknown children kept for a later adopt: more than can start in the time."""
STRAY_AGE_S: Final = 600.0
"""How long they are kept: far longer than from a runtime's `create` to the adopt."""
JOURNAL_SLACK_BYTES: Final = 256 * 1024
"""The journal is rewritten when it is this much, and twice, larger than what it has to hold."""
LOG_BYTES_DEFAULT: Final = 1024 * 1024
"""A log file before it is turned over."""
LOG_BYTES_MAX: Final = 1024 * 1024 * 1024
"""What a caller may ask for a log file."""
LOG_FILES_MAX: Final = 16
"""Older log files kept beside the present one."""
LOG_CHECK_S: Final = 1.0
"""How often the size of a log that a process writes by itself is looked at."""
REACH_FIRST_S: Final = 0.02
"""Before a console socket is tried again, doubled up to RETRY_S: QEMU needs 0.1 s to listen, and
what a guest says to nobody is lost."""
RETRY_S: Final = 1.0
"""Pause before a full disk, a lack of descriptors or an absent console is tried again."""
CONSOLE_ACCEPT_S: Final = 60.0
"""How long a console socket waits for the runtime to send the terminal."""
SOCKET_PATH_BYTES_MAX: Final = 107
"""What fits into a unix socket's address (sun_path, less its final zero)."""
