"""The bounds of VMs, each with its reason."""

from __future__ import annotations

from typing import Final

from fifo.model.limits import STOP_PATIENCE_MOST_S

OVERHEAD_MIB: Final = 256
"""What QEMU needs beside the guest's memory at least (vmadm: kvm, bhyve); 60 MiB were measured."""
TRANSLATED_MIB: Final = 64
"""Code that TCG has translated: QEMU's own default would be a quarter of the guest's memory."""
PROCESSES: Final = 256
"""Threads of one QEMU beside its processors: 64 for io of each kind, and some for VNC."""
READY_S: Final = 20.0
"""From QEMU's start to its first word on QMP: 0.2 s, with many starts on a busy host some more."""
READY_LOOK_S: Final = 0.01
"""How often to look for it: a file appears and nothing tells."""
ANSWER_S: Final = 5.0
"""For an answer on QMP: what QEMU does meanwhile takes milliseconds."""
SNAPSHOT_S: Final = 60.0
"""For a snapshot: it writes what QEMU holds of the disk's tables, and waits for the disk."""
QUIT_S: Final = 3.0
"""For QEMU to end when it is told to; it closes its disks before."""
PRESS_S: Final = 3.0
"""Between two presses of the power button: a guest that is booting does not feel the first."""
PRESSES: Final = round(STOP_PATIENCE_MOST_S / PRESS_S)
"""As long as a VM may be given to power down: then it is forced, and pressed no more."""
RESETS: Final = 10
"""Resets within `RESETS_S` that are a crash loop; installers and updates reboot twice or thrice."""
RESETS_S: Final = 600.0
"""A guest that panics while it boots takes half a minute, if it waits before it reboots."""
USERS: Final = 4_096
"""Users of the host for VMs: as many as the keeper watches instances."""
VIRTUAL_BYTES: Final = 16 * 1024**4
"""The largest disk; file systems below it take no larger file (ext4: 16 TiB)."""
INFO_MEMORY_BYTES: Final = 1024**3
"""Address space of a process that reads a stranger's image."""
INFO_CPU_S: Final = 30
"""Processor time of the same: reading a header takes 0.02 s."""
CONVERT_CPU_S: Final = 1_800
"""Processor time to convert a disk: 64 GiB that are compressed take half of it."""
TRIAL_S: Final = 3.0
"""For the trial kernel to run its first program with KVM: where that works it takes 0.5 s."""
TRIAL_MIB: Final = 128
"""Memory of the trial: the kernel itself is 53 MB unpacked."""
ISO_S: Final = 20.0
"""To write what a VM is told about itself: 0.01 s."""
