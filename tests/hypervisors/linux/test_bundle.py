"""What an OCI runtime is told of a zone."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux import bundle, changes, init
from fifo.hypervisors.linux.addresses import Attachment
from fifo.hypervisors.linux.bundle import Place
from fifo.hypervisors.linux.init import ImageConfig, Init
from fifo.model.instance import Filesystem, InstanceSpec, Nic

PLACE = Place(Path("/state/root"), Path("/state/guest"), "/fifo-ta/uid", 1_000_000, "x86_64")
PROGRAM = Init(("/bin/app",), ("PATH=/bin",), "/", "program", 15)
SYSTEMD = PROGRAM._replace(kind="systemd", stop_signal=37)


DHCP = Nic(mac="02:00:00:00:00:01", interface="net0", ips=("dhcp",))


def spec(**more: Any) -> InstanceSpec:
    """Describe a zone."""
    return InstanceSpec(
        uid="00000000-0000-4000-8000-000000000001", id="i", org="default", generation=1,
        wanted="running", brand="lx", create_time=0.0, **more,
    )  # fmt: skip


def config(init_: Init = PROGRAM, place: Place = PLACE, **more: Any) -> dict[str, Any]:
    """Give the configuration of a zone."""
    return bundle.config(spec(**more), init_, place)


def mounts(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the mounts by where they are."""
    return {each["destination"]: each for each in found["mounts"]}


def test_it_is_what_json_can_say() -> None:
    assert msgspec.json.decode(msgspec.json.encode(config())) == config()


def test_its_environment_can_be_read_back() -> None:
    assert bundle.environment(msgspec.json.encode(config())) == {"PATH": "/bin"}


def test_every_zone_has_all_namespaces_and_maps_its_root_to_an_ordinary_user() -> None:
    linux = config()["linux"]
    kinds = {each["type"] for each in linux["namespaces"]}
    assert kinds == {"pid", "network", "ipc", "uts", "mount", "cgroup", "user"}
    assert (
        linux["uidMappings"]
        == linux["gidMappings"]
        == [{"containerID": 0, "hostID": 1_000_000, "size": 65_536}]
    )
    assert all("path" not in each for each in linux["namespaces"])


def test_no_limit_of_a_process_is_raised() -> None:
    assert "rlimits" not in config()["process"]
    assert "oomScoreAdj" not in config()["process"]


@given(
    memory=st.integers(16, 10**6), swap=st.integers(0, 10**6), cap=st.integers(0, 6400),
    shares=st.integers(0, 65_535), lwps=st.integers(1, 10**6),
)  # fmt: skip
def test_limits_in_vmadms_units_become_the_kernels(
    memory: int, swap: int, cap: int, shares: int, lwps: int
) -> None:
    found = bundle.resources(
        spec(
            max_physical_memory=memory, max_swap=swap, cpu_cap=cap, cpu_shares=shares, max_lwps=lwps
        ),
        swap=True,
        io_weight=True,
    )
    assert found["memory"]["limit"] == memory * 2**20
    assert found["memory"]["swap"] >= found["memory"]["limit"]
    assert found["pids"]["limit"] == lwps
    assert found["cpu"]["shares"] >= 2
    processors = found["cpu"]["quota"] / found["cpu"]["period"]
    assert processors > 1_000 if cap == 0 else processors == cap / 100
    assert 10 <= found["blockIO"]["weight"] <= 1000


def test_what_the_kernel_cannot_do_is_not_asked_for() -> None:
    found = bundle.resources(spec(), swap=False, io_weight=False)
    assert "swap" not in found["memory"]
    assert "blockIO" not in found


def test_only_a_whole_system_in_a_user_namespace_may_administrate() -> None:
    def capabilities(found: dict[str, Any]) -> set[str]:
        sets = found["process"]["capabilities"]
        assert sets["bounding"] == sets["effective"] == sets["permitted"]
        return set(sets["bounding"])

    administrate = set(bundle.SYSTEM_CAPABILITIES)
    assert not capabilities(config()) & administrate
    assert capabilities(config(SYSTEMD)) >= administrate
    plain = PLACE._replace(uid_base=0)
    assert not capabilities(config(SYSTEMD, plain)) & administrate
    assert "/run" in mounts(config(SYSTEMD))
    assert "ro" not in mounts(config(SYSTEMD))["/sys/fs/cgroup"]["options"]
    assert "ro" in mounts(config())["/sys/fs/cgroup"]["options"]


def test_a_directory_of_the_host_comes_without_its_devices_and_unknown_options() -> None:
    filesystem = Filesystem(source="/srv", target="/data", options=("ro", "dev", "suid", "loop"))
    found = mounts(config(filesystems=(filesystem,)))["/data"]
    assert (found["source"], found["options"]) == ("/srv", ["bind", "nodev", "ro"])


def test_a_stored_filesystem_that_was_to_be_read_only_is() -> None:
    filesystem = Filesystem(source="/srv", target="/data", options=("readonly", "what"))
    assert bundle.bind_options(filesystem) == ("nodev", "ro")


def test_temporary_space_is_there_when_it_is_wanted() -> None:
    assert "/tmp" not in mounts(config())  # noqa: S108 -- the zone's
    found = mounts(config(tmpfs=64))
    assert "size=64m" in found["/tmp"]["options"]  # noqa: S108 -- the zone's


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({"resolvers": ("10.0.0.1",)}, True),
        ({"dns_domain": "example.org"}, True),
        ({}, False),
        ({"nics": (DHCP,), "dns_domain": "example.org"}, False),
        ({"nics": (DHCP,), "resolvers": ("10.0.0.1",)}, True),
        ({"nics": (DHCP,)}, False),
    ],
)
def test_the_resolvers_file_is_the_images_own_unless_there_is_something_to_say(
    more: dict[str, Any], shown: bool
) -> None:
    made = config(**more)
    found = mounts(made).get("/etc/resolv.conf", {}).get("source", "")
    assert found == ("/state/guest/resolv.conf" if shown else "")
    assert bundle.shows_resolvers(msgspec.json.encode(made)) is shown


def test_the_files_about_a_zone() -> None:
    found = bundle.files(
        spec(
            hostname="web", dns_domain="example.org", resolvers=("10.0.0.1", "fd00::1"),
            customer_metadata={"a": 1}, internal_metadata={"secret": "x", "root_pw": "y"},
        ),
        ("10.0.0.9",),
    )  # fmt: skip
    assert found["hosts"].endswith(b"10.0.0.9\tweb.example.org web\n")
    assert found["hostname"] == b"web\n"
    assert found["resolv.conf"] == (
        b"search example.org\nnameserver 10.0.0.1\nnameserver fd00::1\n"
    )
    metadata = msgspec.json.decode(found["metadata/metadata.json"])
    assert metadata["customer_metadata"] == {"a": 1}
    assert metadata["internal_metadata"] == {"root_pw": "y"}


# -- the first process -------------------------------------------------------------------------


OLD = ImageConfig(command=("/app",), stop_signal=3)
SYSTEM = ("/usr/lib/systemd/systemd",)
FIRST: dict[str, tuple[Init, tuple[tuple[str, ...], str, int]]] = {
    "nobody says": (init.choose((), (), ImageConfig()), (("/sbin/init",), "program", 15)),
    "systemd by a link": (
        init.choose((), (), ImageConfig(init_links="/lib/systemd/systemd")),
        (("/sbin/init",), "systemd", 37),
    ),
    "busybox by a link": (
        init.choose((), (), ImageConfig(init_links="../bin/busybox")),
        (("/sbin/init",), "busybox", 12),
    ),
    "the image's own": (init.choose((), (), OLD), (("/app",), "program", 3)),
    "the instance's wish": (init.choose(("/m",), ("/r",), OLD), (("/m",), "program", 15)),
    "the record's": (init.choose((), ("/r", "x"), OLD), (("/r", "x"), "program", 15)),
    "systemd by name": (init.choose(SYSTEM, (), OLD), (SYSTEM, "systemd", 37)),
}


@pytest.mark.parametrize("case", FIRST)
def test_the_first_process_and_the_signal_that_stops_it(case: str) -> None:
    found, wanted = FIRST[case]
    assert (found.command, found.kind, found.stop_signal) == wanted


def test_an_image_may_change_the_environment() -> None:
    found = init.choose((), (), ImageConfig(environment=("PATH=/only", "A=1")))
    assert [each for each in found.environment if each.startswith("PATH=")] == ["PATH=/only"]
    assert "A=1" in found.environment
    assert "container=oci" in found.environment


@pytest.mark.parametrize(
    ("stop_signal", "code", "signal", "wanted"),
    [
        (15, 0, None, (0, None)),
        (15, None, 2, (None, 2)),
        (37, None, 2, (0, None)),
        (37, None, 1, (None, 1)),
        (37, None, 9, (None, 9)),
        (37, 255, None, (255, None)),
        (37, None, None, (None, None)),
    ],
)
def test_a_system_that_powers_off_has_ended_in_order(
    stop_signal: int, code: int | None, signal: int | None, wanted: tuple[int | None, int | None]
) -> None:
    assert init.ending(stop_signal, code, signal) == wanted


# -- changes -----------------------------------------------------------------------------------


def test_every_property_counts_now_or_at_the_next_start_and_not_both() -> None:
    assert not set(changes.LIVE) & set(changes.AT_START)
    assert set(changes.LIVE) | set(changes.AT_START) <= set(InstanceSpec.__struct_fields__)


def test_what_a_nic_may_send_is_told_from_what_it_is() -> None:
    nic = Nic(interface="eth0", mac="02:00:00:00:00:01")
    own = (ipaddress.ip_interface("10.0.0.7/24"),)
    runs = Attachment(nic, None, own, ())
    loose = runs._replace(nic=msgspec.structs.replace(nic, allow_ip_spoofing=True))
    other = runs._replace(nic=msgspec.structs.replace(nic, allow_ip_spoofing=True, mtu=9000))
    assert changes.only_guards((runs,), (loose,))
    for each in ((other,), (runs, loose), (runs._replace(addresses=()),), ()):
        assert not changes.only_guards((runs,), each)
