"""The system calls a zone may make: a list by purpose, everything else answered as unknown.

What is not listed gets ENOSYS, as on an older kernel, so that C libraries fall back; what a program
may expect to be refused gets EPERM. A zone has no use for the rest: clocks, modules, swap, kexec,
kernel keys, tracing of the kernel, io_uring and handles around a mount are the host's.
"""

from __future__ import annotations

import errno
from typing import Any, Final


def _names(text: str) -> list[str]:
    return text.split()


FILES: Final = _names("""
access chdir chmod chown chown32 close close_range copy_file_range creat dup dup2 dup3 faccessat
faccessat2 fadvise64 fadvise64_64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchown32
fchownat fcntl fcntl64 fdatasync fgetxattr flistxattr flock fremovexattr fsetxattr fstat fstat64
fstatat64 fstatfs fstatfs64 fsync ftruncate ftruncate64 futimesat getcwd getdents getdents64
getxattr inotify_add_watch inotify_init inotify_init1 inotify_rm_watch lchown lchown32 lgetxattr
link linkat listxattr llistxattr lremovexattr lseek lsetxattr lstat lstat64 _llseek mkdir
mkdirat mknod mknodat newfstatat oldfstat oldlstat oldstat open openat openat2 pipe pipe2
pread64 preadv preadv2 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv
removexattr rename renameat renameat2 rmdir sendfile sendfile64 setxattr splice stat stat64
statfs statfs64 statx symlink symlinkat sync sync_file_range syncfs tee truncate truncate64
umask unlink unlinkat utime utimensat utimensat_time64 utimes vmsplice write writev
fanotify_mark name_to_handle_at
""")
MEMORY: Final = _names("""
brk madvise map_shadow_stack membarrier memfd_create memfd_secret mincore mlock mlock2 mlockall
mmap mmap2 mprotect mremap mseal msync munlock munlockall munmap pkey_alloc pkey_free
pkey_mprotect process_madvise process_mrelease remap_file_pages
""")
PROCESSES: Final = _names("""
alarm arch_prctl capget capset execve execveat exit exit_group fork getcpu getegid getegid32
geteuid geteuid32 getgid getgid32 getgroups getgroups32 getpgid getpgrp getpid getppid
getpriority getresgid getresgid32 getresuid getresuid32 getrlimit getrusage getsid gettid getuid
getuid32 ioprio_get ioprio_set kill modify_ldt nice pause pidfd_getfd pidfd_open
pidfd_send_signal prctl prlimit64 process_vm_readv process_vm_writev ptrace rseq rt_sigaction
rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait
rt_sigtimedwait_time64 rt_tgsigqueueinfo sched_getaffinity sched_getattr sched_getparam
sched_get_priority_max sched_get_priority_min sched_getscheduler sched_rr_get_interval
sched_rr_get_interval_time64 sched_setaffinity sched_setattr sched_setparam sched_setscheduler
sched_yield seccomp set_robust_list get_robust_list set_thread_area get_thread_area
set_tid_address setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32
setpgid setpriority setregid setregid32 setresgid setresgid32 setresuid setresuid32 setreuid
setreuid32 setrlimit setsid setuid setuid32 sgetmask sigaction sigaltstack signal signalfd
signalfd4 sigpending sigprocmask sigreturn sigsuspend ssetmask tgkill times tkill ugetrlimit
uname vfork wait4 waitid waitpid kcmp landlock_add_rule landlock_create_ruleset
landlock_restrict_self sysinfo getrandom chroot sethostname setdomainname
""")
WAITING: Final = _names("""
clock_getres clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep
clock_nanosleep_time64 epoll_create epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait
epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 futex futex_requeue futex_time64
futex_wait futex_waitv futex_wake getitimer gettimeofday nanosleep _newselect poll ppoll
ppoll_time64 pselect6 pselect6_time64 restart_syscall select setitimer time timer_create
timer_delete timer_getoverrun timer_gettime timer_gettime64 timer_settime timer_settime64
timerfd_create timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 io_cancel
io_destroy io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit
""")
TALKING: Final = _names("""
accept accept4 bind connect getpeername getsockname getsockopt ipc listen mq_getsetattr
mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend mq_timedsend_time64
mq_unlink msgctl msgget msgrcv msgsnd recv recvfrom recvmmsg recvmmsg_time64 recvmsg semctl
semget semop semtimedop semtimedop_time64 send sendmmsg sendmsg sendto setsockopt shmat shmctl
shmdt shmget shutdown socketcall socketpair
""")
MOUNTING: Final = _names("""
clone3 fanotify_init fsconfig fsmount fsopen fspick mount mount_setattr move_mount open_tree
pivot_root setns umount umount2 unshare reboot vhangup
""")
"""What a whole operating system needs; for a zone with CAP_SYS_ADMIN in its user namespace."""
REFUSED: Final = _names("""
acct add_key adjtimex bpf clock_adjtime clock_settime delete_module finit_module get_mempolicy
init_module ioperm iopl kexec_file_load kexec_load keyctl lookup_dcookie mbind migrate_pages
mount_setattr mount move_pages open_by_handle_at open_tree perf_event_open personality
pivot_root quotactl reboot request_key set_mempolicy setns settimeofday stime swapoff swapon
syslog umount umount2 unshare userfaultfd vhangup
""")

CLONE_NAMESPACES: Final = 0x7E020000
"""CLONE_NEWNS, NEWCGROUP, NEWUTS, NEWIPC, NEWUSER, NEWPID and NEWNET (clone(2))."""
PERSONALITIES: Final = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)
"""Linux, 32-bit Linux, both with the old uname, and the question which it is (personality(2))."""
BTRFS_NAMES: Final = (0xFFFFFF00, 0x50009400)
"""Mask and value of the requests by which any user may make subvolumes and snapshots, which count
on nobody's quota and cannot be removed like files (btrfs-ioctl(3): SNAP_CREATE, SUBVOL_CREATE)."""
AF_VSOCK: Final = 40
"""Sockets to the hypervisor: no business of a zone's."""
ARCHITECTURES: Final = {
    "x86_64": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"],
    "aarch64": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
}


def profile(machine: str, *, whole_system: bool = False) -> dict[str, Any]:
    """Give `linux.seccomp` of an OCI configuration for a machine as uname(1) names it.

    `whole_system` is for an init that mounts and makes namespaces itself, in a user namespace.
    Source of the form: the OCI runtime specification 1.0.2, config-linux.md.
    """
    allowed = [*FILES, *MEMORY, *PROCESSES, *WAITING, *TALKING]
    if whole_system:
        allowed += [*MOUNTING, "clone"]
    refused = sorted(set(REFUSED) - set(allowed) - {"personality"})
    rules: list[dict[str, Any]] = [
        {"names": sorted(allowed), "action": "SCMP_ACT_ALLOW"},
        {"names": refused, "action": "SCMP_ACT_ERRNO", "errnoRet": errno.EPERM},
        _allow("socket", 0, AF_VSOCK, "SCMP_CMP_NE"),
        *_allow_unlike("ioctl", 1, *BTRFS_NAMES),
        *(_allow("personality", 0, value, "SCMP_CMP_EQ") for value in PERSONALITIES),
    ]
    if not whole_system:
        rules.append(_allow("clone", 0, CLONE_NAMESPACES, "SCMP_CMP_MASKED_EQ", 0))
    found: dict[str, Any] = {
        "defaultAction": "SCMP_ACT_ERRNO",
        "defaultErrnoRet": errno.ENOSYS,
        "syscalls": rules,
    }
    if machine in ARCHITECTURES:
        found["architectures"] = ARCHITECTURES[machine]
    return found


def _allow_unlike(name: str, index: int, mask: int, value: int) -> list[dict[str, Any]]:
    """Allow a call whose masked argument is another: one that differs in any of the mask's bits."""
    bits = (1 << place for place in range(mask.bit_length()) if mask >> place & 1)
    return [_allow(name, index, bit, "SCMP_CMP_MASKED_EQ", bit & ~value) for bit in bits]


def _allow(name: str, index: int, value: int, operator: str, masked: int = 0) -> dict[str, Any]:
    argument = {"index": index, "value": value, "valueTwo": masked, "op": operator}
    return {"names": [name], "action": "SCMP_ACT_ALLOW", "args": [argument]}
