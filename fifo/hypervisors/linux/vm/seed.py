"""What a VM is told about itself, as cloud-init's NoCloud data source reads it. Pure.

Source: cloud-init's documentation of NoCloud and of network-config version 2. YAML is written with
JSON's scalars, which it contains, one key a line. vmadm's words in `customer_metadata`:
`root_authorized_keys` are keys that may log in, `user-data` is cloud-init's, `user-script` is run
at the first start. All metadata is in `metadata.json` beside them.
"""

from __future__ import annotations

import email.message
import ipaddress
import re
from typing import TYPE_CHECKING, Final

import msgspec

from fifo.hypervisors.linux import bundle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fifo.hypervisors.linux.addresses import Attachment, Route
    from fifo.model.instance import InstanceSpec

VOLUME: Final = "cidata"
KEYS: Final = "root_authorized_keys"
DATA: Final = "user-data"
SCRIPT: Final = "user-script"
UNPRINTABLE: Final = re.compile("[\x7f-\x9f\u2028\u2029\ufeff]")
"""What YAML does not take as it is, or takes for the end of a line, and JSON does."""
CONFIG_MARK: Final = "#cloud-config"
SCRIPT_MARK: Final = "#!"


def files(spec: InstanceSpec, attachments: tuple[Attachment, ...]) -> dict[str, bytes]:
    """Give the files of the disk by name; resolvers are those of the spec."""
    return {
        "meta-data": _lines(_meta_data(spec)),
        "network-config": _lines(_network(spec, attachments)),
        "user-data": _user_data(spec).encode(),
        "vendor-data": _lines(_vendor_data(spec)),
        "metadata.json": bundle.metadata(spec),
    }


def _meta_data(spec: InstanceSpec) -> Iterator[str]:
    yield f"instance-id: {_text(spec.uid)}"
    yield f"local-hostname: {_text(bundle.hostname(spec))}"
    if keys := _keys(spec):
        yield "public-keys:"
        yield from (f"  - {_text(key)}" for key in keys)


def _keys(spec: InstanceSpec) -> list[str]:
    text = str(spec.customer_metadata.get(KEYS, ""))
    return [line.strip() for line in text.splitlines() if line.strip()]


def _vendor_data(spec: InstanceSpec) -> Iterator[str]:
    """Yield what the image's own settings are changed to: root is who vmadm's keys are for."""
    yield CONFIG_MARK
    if _keys(spec):
        yield "disable_root: false"
    if spec.dns_domain:
        yield f"fqdn: {_text(f'{bundle.hostname(spec)}.{spec.dns_domain}')}"


def _user_data(spec: InstanceSpec) -> str:
    data = str(spec.customer_metadata.get(DATA, ""))
    script = str(spec.customer_metadata.get(SCRIPT, ""))
    if script and not script.startswith(SCRIPT_MARK):
        script = f"{SCRIPT_MARK}/bin/sh\n{script}"
    if not (data and script):
        return data or script or f"{CONFIG_MARK}\n"
    whole = email.message.EmailMessage()
    whole.make_mixed()
    for text in (data, script):
        part = email.message.EmailMessage()
        part.set_content(text, subtype=_subtype(text), cte="8bit")
        whole.attach(part)
    # The boundary would be random otherwise: the same metadata has to give the same disk.
    whole.set_boundary(f"==={spec.uid}===")
    return whole.as_string()


def _subtype(text: str) -> str:
    if text.startswith(SCRIPT_MARK):
        return "x-shellscript"
    return "cloud-config" if text.startswith(CONFIG_MARK) else "plain"


def _network(spec: InstanceSpec, attachments: tuple[Attachment, ...]) -> Iterator[str]:
    yield "version: 2"
    if attachments:
        yield "ethernets:"
    for attachment in attachments:
        yield from _ethernet(spec, attachment)


def _ethernet(spec: InstanceSpec, attachment: Attachment) -> Iterator[str]:
    nic = attachment.nic
    yield f"  {nic.interface}:"
    yield "    match:"
    yield f"      macaddress: {_text(nic.mac.lower())}"
    yield f"    set-name: {_text(nic.interface)}"
    yield f"    mtu: {attachment.mtu}"
    yield f"    dhcp4: {_text('dhcp' in nic.ips)}"
    if attachment.addresses:
        yield "    addresses:"
        yield from (f"      - {_text(str(address))}" for address in attachment.addresses)
    if attachment.routes:
        yield "    routes:"
    for route in attachment.routes:
        yield from _route(route, attachment)
    if spec.resolvers:
        yield "    nameservers:"
        if spec.dns_domain:
            yield f"      search: [{_text(spec.dns_domain)}]"
        yield "      addresses:"
        yield from (f"        - {_text(resolver)}" for resolver in spec.resolvers)
    if "addrconf" in nic.ips:
        yield "    accept-ra: true"


def _route(route: Route, attachment: Attachment) -> Iterator[str]:
    yield f"      - to: {_text(route.destination)}"
    if not route.gateway:
        yield "        scope: link"
        return
    yield f"        via: {_text(route.gateway)}"
    gateway = ipaddress.ip_address(route.gateway)
    if not any(gateway in own.network for own in attachment.addresses):
        yield "        on-link: true"


def _text(value: str | bool) -> str:  # noqa: FBT001 -- a scalar of YAML
    text = msgspec.json.encode(value).decode()
    return UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def _lines(lines: Iterator[str]) -> bytes:
    return "".join(f"{line}\n" for line in lines).encode()
