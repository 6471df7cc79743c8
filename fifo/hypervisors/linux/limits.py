"""The Linux driver's bounds, each with its reason."""

from __future__ import annotations

from typing import Final

COMMAND_S: Final = 30.0
"""A command that changes the host: each takes well under 0.1 s, and 50 at once on 2 cores 3 s."""
PORTS_AT_ONCE: Final = 50
"""Whose rules are replaced by one command: under 1 s; nft takes for 1,000 at once a minute."""
ORPHANS_S: Final = 3.0
"""For commands that a node has begun and was killed: what is no copy ends by itself within that."""
COPY_S: Final = 1_800.0
"""A command that copies a disk or an image."""
PROBE_S: Final = 10.0
"""A command of the probe; what takes longer does not work."""
STARTS_AT_ONCE: Final = 6
"""Starts in flight: two cores are busy with three, and the rest waits for the kernel's locks."""
FORCE_S: Final = 20.0
"""From SIGKILL to the keeper's word that it ended; a zone in uninterruptible I/O takes longest."""
LAST_WORD_S: Final = 10.0
"""From the end of a command's terminal to the keeper's word how the command ended: both come in one
moment, and a keeper whose connection broke is there again within a few seconds."""
LISTEN_S: Final = 2.0
"""Until a first process listens to the signal that stops it: systemd needs 0.1 s. One that never
does is sent it all the same."""
LOOK_S: Final = 0.005
"""How often something is looked at that tells of no change: a runtime takes 30 ms for a command."""
WORDS_CHARACTERS: Final = 600
"""The end of what a command complained, which goes into the error: the reason stands last."""
EXITS_PENDING: Final = 4_096
"""Ends a subscriber has not been told of before it hears its inventory: one for each instance."""
LOG_BYTES: Final = 1024 * 1024
"""A console's log before it is turned over, and there is one older one."""
TMP_DEVICE_KIB: Final = 65_536
"""The size of a zone's /dev and /dev/shm (what other runtimes give)."""
CPU_PERIOD_US: Final = 100_000
"""The kernel's default period of a processor quota."""
REDIRECTS: Final = 5
"""Of a download; mirrors use two."""
DOWNLOAD_STALL_S: Final = 30.0
"""Without a byte for this long a download has died."""
DOWNLOAD_CHUNK_BYTES: Final = 256 * 1024
"""Read at once; progress is told for each."""
EGRESS_CONNECTIONS: Final = 32
"""At once, of one pull: skopeo fetches six layers at a time, each from up to two hosts."""
EGRESS_CONNECT_S: Final = 10.0
"""To one of a host's addresses: three attempts of TCP take 7 s, and there may be another one."""
EGRESS_IDLE_S: Final = 120.0
"""Of a pull's connection without a byte: skopeo itself keeps one it may use again for 90 s."""
LAYERS: Final = 128
"""Layers of an OCI image: overlayfs itself takes no more."""
DOCUMENT_BYTES: Final = 4 * 1024 * 1024
"""An OCI index, manifest or configuration (the distribution specification's own bound)."""
NAME_BYTES: Final = 4_096
"""A path in an archive: what Linux takes (PATH_MAX)."""
NAME_SHOWN: Final = 200
"""Characters of such a path that an error shows."""
DEPTH: Final = 256
"""Directories within directories in an archive: four times the deepest that are in use."""
UNPACK_MEMORY_BYTES: Final = 1024**3
"""Address space of the process that unpacks; an archive that wants more is malicious."""
EXEC_WAITS_BYTES: Final = 512 * 1024
"""Output of a command that nobody has read, above which it has to wait: some hundred frames."""
EXEC_OUTPUT_BYTES: Final = 8 * 1024 * 1024
"""The same, above which it is ended: what the keeper may have on its way when it is told to have
the command wait (its `SLOW_BYTES`), twice."""
