"""Why an instance was killed: the kernel took its first process because memory ran out.

The keeper sees SIGKILL only. The instance's control group has counted it (cgroup v1 memory.txt:
memory.oom_control; v2: memory.events), and is there from the end until the instance is released.
"""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import msgspec

from fifo.hypervisors.linux import cgroups

if TYPE_CHECKING:
    from fifo.hypervisors.linux.host import Host


def explain(host: Host, uid: str) -> None:
    """Add to a recorded end by SIGKILL, which we did not send, that memory ran out if it did.

    Called on the node's loop between the record of an end and what tells of it.
    """
    kept = host.watch.ends.read(uid)
    if kept is None or kept.exit is None or kept.exit.signal != signal.SIGKILL:
        return
    usage = cgroups.usage(f"{host.settings.cgroup}/{uid}")
    if kept.exit.forced or kept.exit.resets or not usage.oom_kills:
        return
    end = msgspec.structs.replace(
        kept.exit, out_of_memory=True, memory_limit_bytes=usage.memory_limit_bytes
    )
    host.watch.ends.write(msgspec.structs.replace(kept, exit=end))
