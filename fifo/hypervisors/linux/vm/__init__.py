"""VMs on a Linux host: QEMU, told what to do over QMP, its process the keeper's.

A VM is a directory as a zone is (`fifo.hypervisors.linux.layout`), with

```
STATE/instances/UID/vm.json          what was made for it: its user, its disks, its snapshots
STATE/instances/UID/disks/N.qcow2    its own part of each disk, over an image in the cache
STATE/instances/UID/seed.iso         what it is told about itself: NoCloud
STATE/instances/UID/console.log      what its serial line said, kept by the keeper
STATE/instances/UID/qemu.log         what QEMU itself complained about
RUN/vm/UID/                          sockets: serial line, QMP, VNC
STATE/accelerator.json               what the trial of hardware acceleration found, for one boot
```

Decisions:

- QEMU is an ordinary user of the host from its first instruction on, another one for each VM, in a
  control group of its own and under QEMU's seccomp rules. What it may not open as that user (the
  tap) is opened before and handed on (`launch`). It sees its own directory and the images.
- The format of every file is said to QEMU, the whole chain of each disk too; nothing is probed.
- A guest that powers off ends QEMU with status 0. One that reboots is reset within the same QEMU,
  as a machine is: this is no end, no policy is asked, and what waits for the next start goes on
  waiting. A panic that the guest tells of (pvpanic) ends QEMU with status 1, which is a failure;
  for a guest that tells of none its resets are counted (`resets`).
- A disk of the host that is full halts the VM until there is room; nothing is lost in the guest.
"""
