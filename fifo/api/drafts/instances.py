"""Instances: from what a request says to the whole spec, or everything that is wrong with it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from fifo.api import masks
from fifo.api.drafts.disks import disks_of, filesystems_of
from fifo.api.drafts.nics import HOST_LABEL, is_address, is_network, nics_of
from fifo.api.resources.instances import BRANDS, MODES, Message, from_table
from fifo.api.resources.packages import swap_of
from fifo.api.resources.values import canonical, scalars_of, seconds_of
from fifo.model import limits, names
from fifo.model.instance import VM_BRANDS, InstanceSpec, RestartPolicy
from fifo.model.vmadm import memory as sizes
from fifo.model.vmadm.validity import OF_VMS, OF_ZONES, violations

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from fifo.api.drafts.found import Drafting
    from fifo.model.errors import Violation
    from fifo.model.image import Image
    from fifo.model.package import Package
    from fifo.v1 import instance_pb2

BY_NIC: Final = re.compile(r"nics\[\d{1,2}\]|macs\[[0-9a-f:]{17}\]")
"""A route's gateway by the interface that it is behind (vmadm: routes)."""
_ALWAYS: Final = RestartPolicy()
_MEMORY: Final = sizes.Given._fields
_FROM_PACKAGE: Final = ("max_lwps", "cpu_cap", "vcpus", "quota", "zfs_io_priority")
_NUMBERS: Final = {
    "cpu_shares": 100,
    "cpu_cap": 0,
    "vcpus": 1,
    "max_lwps": 2000,
    "quota": 10,
    "zfs_io_priority": 100,
}
"""Defaults of numbers where neither request nor package says (vmadm)."""


class Identified(NamedTuple):
    """What a draft is not asked for: who it is, and since when."""

    uid: str
    id: str
    org: str
    create_time: float


def draft(drafting: Drafting, given: Message, who: Identified) -> InstanceSpec:
    """Make the spec of a new instance; `drafting` has what is wrong with it."""
    image_uid = drafting.uid(names.IMAGES, given.image, "image")
    package_uid = drafting.uid(names.PACKAGES, given.package, "package")
    package = drafting.catalog.packages.record(package_uid)
    boot = image_uid or _boot_image(drafting, given)
    image = drafting.catalog.images.record(boot)
    brand = from_table(BRANDS, given.brand) or _brand_of(image, given)
    is_vm = brand in VM_BRANDS
    _check_image(drafting, given, image, brand)
    memory = sizes.create(_memory(given, package), brand)
    autoboot = given.autoboot if given.HasField("autoboot") else True
    wanted = {Message.RUNNING: "running", Message.STOPPED: "stopped"}.get(
        given.desired_state, "running" if autoboot else "stopped"
    )
    fields: dict[str, Any] = {
        **who._asdict(),
        **_plain(given),
        **memory._asdict(),
        **_numbers(given, package),
        "generation": 1,
        "wanted": wanted,
        "brand": brand,
        "autoboot": autoboot,
        "image": "" if is_vm else image_uid,
        "package": package_uid,
        "wanted_host": drafting.uid(names.HYPERVISORS, given.hypervisor, "hypervisor"),
        "hostname": given.hostname or _host_name(given.alias, who.id),
        "nics": nics_of(drafting, given.nics, who.uid, is_vm),
        "disks": disks_of(drafting, given.disks, image_uid) if is_vm else (),
        "filesystems": filesystems_of(drafting, given.filesystems),
        "restart": policy_of(drafting, given.restart_policy),
    }
    if not fields["resolvers"]:
        fields["resolvers"] = _resolvers(drafting, fields["nics"])
    _check(drafting, given, fields, image)
    return _whole(drafting, InstanceSpec(**fields))


def redraft(
    drafting: Drafting, before: InstanceSpec, present: Message, merged: Message
) -> InstanceSpec:
    """Make the next spec of an instance from the message that a request turned `present` into."""
    changed = set(masks.changed_fields(present, merged))
    is_vm = before.is_vm
    package_uid = drafting.uid(names.PACKAGES, merged.package, "package")
    package = drafting.catalog.packages.record(package_uid)
    fields: dict[str, Any] = {
        **msgspec.structs.asdict(before),
        **_plain(merged),
        **_changed_numbers(drafting, before, merged, changed, package),
        "generation": before.generation + 1,
        "package": package_uid,
        "autoboot": merged.autoboot if merged.HasField("autoboot") else True,
        "hostname": merged.hostname or _host_name(merged.alias, before.id),
        "filesystems": filesystems_of(drafting, merged.filesystems, before.filesystems),
        "restart": policy_of(drafting, merged.restart_policy),
    }
    if "desired_state" in changed:
        stopped = merged.desired_state == Message.STOPPED
        fields["wanted"] = "stopped" if stopped else "running"
    if "nics" in changed:
        fields["nics"] = _unpinned(
            drafting, before, nics_of(drafting, merged.nics, before.uid, is_vm)
        )
    if "disks" in changed and is_vm:
        fields["disks"] = disks_of(drafting, merged.disks, "")
    _check(drafting, merged, fields, None)
    # What a later rule refuses in what was stored before is no fault of the change.
    return _whole(drafting, InstanceSpec(**fields), violations(before))


def check_alone(drafting: Drafting, given: Message) -> None:
    """Note what is wrong with what a message gives, of whichever instance it is a change.

    What it says beside what the instance is otherwise is left out: that is not known.
    """
    drafting.uid(names.PACKAGES, given.package, "package")
    nics_of(drafting, given.nics, "", is_vm=False)
    _check_given(drafting, given)
    for index, disk in enumerate(given.disks):
        drafting.uid(names.IMAGES, disk.image, f"disks[{index}].image")


def _whole(
    drafting: Drafting, spec: InstanceSpec, known: Collection[Violation] = ()
) -> InstanceSpec:
    """Check the whole by vmadm's rules, of which some were looked at in its parts already.

    What is `known` of its record is passed over.
    """
    told = {violation.field.removeprefix(drafting.prefix) for violation in drafting.violations}
    if any(field.startswith("restart_policy") for field in told):
        # A spec has other words for its parts.
        told.add("restart")
    for path, wanted in violations(spec):
        if (path, wanted) in known:
            continue
        # A disk has no size of its own where its image, which says it, was not found.
        if f"{path.removesuffix('.size')}.image" in told:
            continue
        if not any(_is_about(path, own) for own in told):
            drafting.refuse(path, wanted)
    return spec


def _is_about(path: str, told: str) -> bool:
    """Tell whether a rule of the whole may only repeat what is told of one of its parts."""
    own, other = (re.split(r"[.\[]", text.removesuffix("_uuid")) for text in (path, told))
    return own[: len(other)] == other[: len(own)]


def policy_of(drafting: Drafting, given: instance_pb2.RestartPolicy) -> RestartPolicy:
    """Make a restart policy; what is absent has its default."""
    made = RestartPolicy(
        when=from_table(MODES, given.mode) or _ALWAYS.when,  # type: ignore[arg-type]
        first_s=seconds_of(given.first_wait) if given.HasField("first_wait") else _ALWAYS.first_s,
        most_s=seconds_of(given.longest_wait) if given.HasField("longest_wait") else _ALWAYS.most_s,
        factor=given.factor if given.HasField("factor") else _ALWAYS.factor,
        attempts=given.attempts if given.HasField("attempts") else _ALWAYS.attempts,
        window_s=seconds_of(given.window) if given.HasField("window") else _ALWAYS.window_s,
    )
    if made.first_s > made.most_s:
        drafting.refuse("restart_policy.first_wait", "at most longest_wait")
    return made


# -- its parts ------------------------------------------------------------------------------------


def _plain(given: Message) -> dict[str, Any]:
    """Give the fields that are taken as they are."""
    return {
        "alias": given.alias,
        "owner_uuid": given.owner_uuid,
        "billing_id": given.billing_id,
        "dns_domain": given.dns_domain,
        "deletion_protection": given.deletion_protection,
        "firewall_enabled": given.firewall_enabled,
        "resolvers": tuple(given.resolvers),
        "routes": dict(given.routes),
        "init": tuple(given.init),
        "kernel_version": given.kernel_version,
        "customer_metadata": scalars_of(given.customer_metadata),
        "internal_metadata": scalars_of(given.internal_metadata),
        "tags": scalars_of(given.tags),
        "extra": scalars_of(given.extra),
    }


def _boot_image(drafting: Drafting, given: Message) -> str:
    """Give the image of a VM's boot disk, which tells the brand; wrong ones are told later."""
    disk = next((disk for disk in given.disks if disk.boot), None) or next(iter(given.disks), None)
    if disk is None or not disk.image:
        return ""
    return drafting.references.uid(names.IMAGES, disk.image, "", lambda _: None)


def _brand_of(image: Image | None, given: Message) -> str:
    if image is not None and image.brands:
        return image.brands[0]
    # Where the image is not found its disks are looked through all the same.
    lost = given.image or any(disk.image for disk in given.disks)
    return "kvm" if image is None and lost and given.disks else "lx"


def _memory(given: Message, package: Package | None) -> sizes.Given:
    own = {name: _optional(given, name) for name in _MEMORY}
    if package is not None:
        if own["max_physical_memory"] is None and own["ram"] is None:
            own["ram"] = package.max_physical_memory
        if own["max_swap"] is None:
            own["max_swap"] = swap_of(package)
    return sizes.Given(**own)


def _numbers(given: Message, package: Package | None) -> dict[str, int]:
    made = {}
    for name, default in _NUMBERS.items():
        own = _optional(given, name)
        if own is None and package is not None and name in _FROM_PACKAGE:
            own = getattr(package, name)
        made[name] = default if own is None else own
    return made


def _changed_numbers(
    drafting: Drafting,
    before: InstanceSpec,
    merged: Message,
    changed: set[str],
    package: Package | None,
) -> dict[str, int]:
    """Give the numbers after an update: a new package gives those that the request does not.

    What was taken away has its default again: the package's, or vmadm's.
    """
    given = {name: _optional(merged, name) if name in changed else None for name in _MEMORY}
    gone = {name for name in _MEMORY if name in changed and given[name] is None}
    numbers = _numbers(merged, package)
    if package is not None and "package" in changed:
        if given["ram"] is None and given["max_physical_memory"] is None:
            given["ram"] = package.max_physical_memory
        if given["max_swap"] is None:
            given["max_swap"] = swap_of(package)
        numbers |= {name: getattr(package, name) for name in _FROM_PACKAGE if name not in changed}
    old = sizes.Memory(*(getattr(before, name) for name in sizes.Memory._fields))
    usual = _memory(Message(), package)
    asked = sizes.reset(old, sizes.Given(**given), gone, usual, before.brand)
    for field, wanted in sizes.violations(old, asked, before.brand):
        drafting.refuse(field, wanted)
    return {**sizes.update(old, asked, before.brand)._asdict(), **numbers}


def one_memory(merged: Message, masked: Iterable[str]) -> None:
    """Let a zone's memory be what the one of its two names says that a mask has; see `redraft`."""
    named = [name for name in ("ram", "max_physical_memory") if name in masked]
    if len(named) == 1:
        merged.ClearField("max_physical_memory" if named == ["ram"] else "ram")


def _optional(given: Message, name: str) -> int | None:
    return getattr(given, name) if given.HasField(name) else None  # type: ignore[arg-type]


def _host_name(alias: str, resource_id: str) -> str:
    return alias if HOST_LABEL.fullmatch(alias) else resource_id


def _resolvers(drafting: Drafting, nics: Any) -> tuple[str, ...]:
    found = (drafting.catalog.networks.record(nic.network) for nic in nics)
    listed = (own for network in found if network is not None for own in network.resolvers)
    return tuple(dict.fromkeys(listed))


def _unpinned(drafting: Drafting, before: InstanceSpec, nics: Any) -> Any:
    """Leave addresses to the claim where a caller only sends back what was claimed."""
    claim = drafting.catalog.claims.record(before.uid)
    free = {nic.mac for nic in before.nics if not nic.ips}
    return tuple(
        msgspec.structs.replace(nic, ips=())
        if claim is not None and nic.mac in free and nic.ips == claim.addresses.get(nic.mac)
        else nic
        for nic in nics
    )


def _check_image(drafting: Drafting, given: Message, image: Image | None, brand: str) -> None:
    if image is None:
        if not given.image and brand not in VM_BRANDS:
            drafting.refuse("image", f"an image: a {brand} instance is made of one")
        return
    field = "image" if given.image else "disks[0].image"
    if image.state != "ready":
        drafting.refuse(field, f"an image that is ready: this one is {image.state}")
    if brand not in image.brands:
        told = ", ".join(image.brands)
        drafting.refuse("brand", f"one that its image is for ({told}), not {brand}")


def _check(drafting: Drafting, given: Message, fields: dict[str, Any], image: Image | None) -> None:
    """Check what several fields have to be together."""
    _check_kind(drafting, given, fields["brand"])
    if image is not None and fields["ram"] < image.min_ram:
        drafting.refuse("ram", f"at least {image.min_ram} MiB, which its image needs")
    _check_given(drafting, given)
    _check_metadata(drafting, fields)


def _check_given(drafting: Drafting, given: Message) -> None:
    """Check fields that stand for themselves."""
    if given.desired_state not in {0, Message.RUNNING, Message.STOPPED}:
        drafting.refuse("desired_state", "RUNNING or STOPPED")
    for destination, gateway in given.routes.items():
        if not is_network(destination) or not (is_address(gateway) or BY_NIC.fullmatch(gateway)):
            wanted = "an address or CIDR, and a gateway: an address, nics[0] or macs[02:...]"
            drafting.refuse(f"routes.{destination[:40]}", wanted)


def _check_kind(drafting: Drafting, given: Message, brand: str) -> None:
    """Refuse what only the other kind of instance has."""
    for name in OF_ZONES if brand in VM_BRANDS else OF_VMS:
        if getattr(given, name):
            drafting.refuse(name, f"nothing: a {brand} instance has none")


def _check_metadata(drafting: Drafting, fields: dict[str, Any]) -> None:
    most = limits.METADATA_BYTES
    for name in ("tags", "customer_metadata", "internal_metadata"):
        if len(fields[name]) > limits.TAGS:
            drafting.refuse(name, f"at most {limits.TAGS} entries")
    metadata = canonical(fields["customer_metadata"]) + canonical(fields["internal_metadata"])
    if metadata > most:
        drafting.refuse("customer_metadata", f"at most {most} bytes of metadata in all")
    if canonical(fields["tags"]) > most:
        drafting.refuse("tags", f"at most {most} bytes")
