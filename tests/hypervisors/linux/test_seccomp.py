"""The list of system calls, evaluated as the kernel would."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux import seccomp

PROFILE = seccomp.profile("x86_64")
WHOLE_SYSTEM = seccomp.profile("x86_64", whole_system=True)
NEW_USER = 0x10000000
SNAPSHOT_REQUESTS = (0x50009401, 0x5000940E, 0x50009417, 0x50009418)


def verdict(profile: dict[str, Any], name: str, *arguments: int) -> str:
    """Say what becomes of a call: any rule that fits allows it, else it is refused or unknown."""
    rules = [rule for rule in profile["syscalls"] if name in rule["names"]]
    actions = {rule["action"] for rule in rules if fits(rule, arguments)}
    if "SCMP_ACT_ALLOW" in actions:
        return "allowed"
    return "refused" if actions else "unknown"


def fits(rule: dict[str, Any], arguments: tuple[int, ...]) -> bool:
    """Tell whether all conditions of a rule hold (seccomp_rule_add(3))."""
    for condition in rule.get("args", ()):
        given_, value = arguments[condition["index"]], condition["value"]
        holds = {
            "SCMP_CMP_EQ": given_ == value,
            "SCMP_CMP_NE": given_ != value,
            "SCMP_CMP_MASKED_EQ": given_ & value == condition["valueTwo"],
        }
        if not holds[condition["op"]]:
            return False
    return True


@pytest.mark.parametrize(
    ("name", "wanted"),
    [
        ("read", "allowed"), ("execve", "allowed"), ("futex", "allowed"), ("statx", "allowed"),
        ("mount", "refused"), ("setns", "refused"), ("unshare", "refused"), ("bpf", "refused"),
        ("init_module", "refused"), ("kexec_load", "refused"), ("keyctl", "refused"),
        ("open_by_handle_at", "refused"), ("reboot", "refused"), ("settimeofday", "refused"),
        ("clone3", "unknown"), ("io_uring_setup", "unknown"), ("not_yet_invented", "unknown"),
    ],
)  # fmt: skip
def test_a_call_is_allowed_refused_or_unknown(name: str, wanted: str) -> None:
    assert verdict(PROFILE, name) == wanted


@pytest.mark.parametrize("name", ["mount", "unshare", "setns", "clone3", "reboot"])
def test_a_whole_system_may_mount_and_make_namespaces(name: str) -> None:
    assert verdict(WHOLE_SYSTEM, name) == "allowed"


@pytest.mark.parametrize("name", ["bpf", "init_module", "keyctl", "settimeofday", "swapon"])
def test_even_a_whole_system_leaves_the_host_alone(name: str) -> None:
    assert verdict(WHOLE_SYSTEM, name) == "refused"


def test_a_process_is_cloned_but_no_namespace() -> None:
    assert verdict(PROFILE, "clone", 0x01200011) == "allowed"
    assert verdict(PROFILE, "clone", NEW_USER | 17) == "unknown"
    assert verdict(WHOLE_SYSTEM, "clone", NEW_USER | 17) == "allowed"


def test_sockets_to_the_hypervisor_are_unknown() -> None:
    assert verdict(PROFILE, "socket", 2) == "allowed"
    assert verdict(PROFILE, "socket", seccomp.AF_VSOCK) == "unknown"


@pytest.mark.parametrize("request_", SNAPSHOT_REQUESTS)
def test_nobody_makes_a_subvolume_that_no_quota_counts(request_: int) -> None:
    assert verdict(PROFILE, "ioctl", 3, request_) == "unknown"


@given(request_=st.integers(0, 2**32 - 1))
def test_every_other_request_goes_through(request_: int) -> None:
    mask, value = seccomp.BTRFS_NAMES
    wanted = "unknown" if request_ & mask == value else "allowed"
    assert verdict(PROFILE, "ioctl", 3, request_) == wanted


def test_no_call_is_both_allowed_and_refused() -> None:
    for profile in (PROFILE, WHOLE_SYSTEM):
        allowed, refused = (set(rule["names"]) for rule in profile["syscalls"][:2])
        assert not allowed & refused
