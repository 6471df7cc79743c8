"""Why an instance was killed: the kernel took its first process because memory ran out.

The keeper sees SIGKILL only. The instance's control group has counted it (cgroup v1 memory.txt:
memory.oom_control; v2: memory.events), and is there from the end until the instance is released.
"""

from __future__ import annotations

import logging
import signal
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.linux import cgroups

if TYPE_CHECKING:
    from fifo.hypervisors.linux.host import Host

UNTOLD: Final = "that it ran out of memory cannot be written down"
_log = logging.getLogger(__name__)


def explain(host: Host, uid: str) -> None:
    """Add to a recorded end by SIGKILL, which we did not send, that memory ran out if it did.

    Called on the node's loop between the record of an end and what tells of it. A disk without
    room leaves the end without its reason.
    """
    kept = host.layout.read(uid)
    if kept is None or kept.exit is None or kept.exit.signal != signal.SIGKILL:
        return
    usage = cgroups.usage(f"{host.settings.cgroup}/{uid}")
    if kept.exit.forced or kept.exit.resets or not usage.oom_kills:
        return
    end = msgspec.structs.replace(
        kept.exit, out_of_memory=True, memory_limit_bytes=usage.memory_limit_bytes
    )
    try:
        host.layout.write(msgspec.structs.replace(kept, exit=end))
    except OSError as error:
        _log.warning("%s: %s: %s", uid, UNTOLD, error)
