"""What a VM is told about itself, as cloud-init reads it."""

from __future__ import annotations

import email
import ipaddress
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from fifo.hypervisors.linux.addresses import Attachment, Route
from fifo.hypervisors.linux.vm import seed
from fifo.model.instance import InstanceSpec, Nic

UID = "00000000-0000-4000-8000-000000000001"
NIC = Nic(interface="net0", mac="02:00:00:00:00:AA", ips=("10.0.0.5/24",))
ATTACHMENT = Attachment(
    NIC, None,
    (ipaddress.ip_interface("10.0.0.5/24"), ipaddress.ip_interface("fd00::5/64")),
    (
        Route("default", "10.0.0.1"),
        Route("192.0.2.0/24", "198.51.100.1"),
        Route("203.0.113.0/24", ""),
    ),
)  # fmt: skip


def spec(**fields: Any) -> InstanceSpec:
    given_ = {"hostname": "web", "resolvers": ("10.0.0.1",), "dns_domain": "example.org", **fields}
    return InstanceSpec(
        uid=UID, id="i", org="default", generation=1, wanted="running", brand="kvm",
        create_time=0.0, **given_,
    )  # fmt: skip


def told(**fields: Any) -> dict[str, str]:
    files = seed.files(spec(**fields), (ATTACHMENT,))
    return {name: data.decode() for name, data in files.items()}


def test_the_network_is_said_in_version_two() -> None:
    assert (
        told()["network-config"]
        == """\
version: 2
ethernets:
  net0:
    match:
      macaddress: "02:00:00:00:00:aa"
    set-name: "net0"
    mtu: 1500
    dhcp4: false
    addresses:
      - "10.0.0.5/24"
      - "fd00::5/64"
    routes:
      - to: "default"
        via: "10.0.0.1"
      - to: "192.0.2.0/24"
        via: "198.51.100.1"
        on-link: true
      - to: "203.0.113.0/24"
        scope: link
    nameservers:
      search: ["example.org"]
      addresses:
        - "10.0.0.1"
"""
    )


def test_dynamic_addresses_are_left_to_the_network() -> None:
    nic = msgspec.structs.replace(NIC, ips=("dhcp", "addrconf"))
    files = seed.files(spec(resolvers=()), (Attachment(nic, None, (), ()),))
    text = files["network-config"].decode()
    assert "    dhcp4: true\n" in text
    assert text.endswith("    accept-ra: true\n")


def test_names_and_keys_are_said() -> None:
    keys = {"root_authorized_keys": "ssh-ed25519 AAAA one\n\n  ssh-rsa BBBB two\n"}
    files = told(customer_metadata=keys)
    assert files["meta-data"] == (
        f'instance-id: "{UID}"\n'
        'local-hostname: "web"\n'
        "public-keys:\n"
        '  - "ssh-ed25519 AAAA one"\n'
        '  - "ssh-rsa BBBB two"\n'
    )
    assert files["vendor-data"] == ('#cloud-config\ndisable_root: false\nfqdn: "web.example.org"\n')
    assert msgspec.json.decode(files["metadata.json"])["customer_metadata"] == keys


def test_user_data_goes_on_as_it_is_and_a_script_as_one() -> None:
    assert told(customer_metadata={"user-data": "#cloud-config\na: 1\n"})["user-data"] == (
        "#cloud-config\na: 1\n"
    )
    assert (
        told(customer_metadata={"user-script": "#!/bin/bash\nx"})["user-data"] == "#!/bin/bash\nx"
    )
    assert told(customer_metadata={"user-script": "x"})["user-data"] == "#!/bin/sh\nx"
    assert told()["user-data"] == "#cloud-config\n"


def test_user_data_and_a_script_go_together_in_one_message() -> None:
    both = {"user-data": "#cloud-config\na: ü\n", "user-script": "#!/bin/sh\ntrue\n"}
    text = told(customer_metadata=both)["user-data"]
    assert text == told(customer_metadata=both)["user-data"]
    parts = [part for part in email.message_from_string(text).walk() if not part.is_multipart()]
    assert [part.get_content_type() for part in parts] == [
        "text/cloud-config",
        "text/x-shellscript",
    ]


@given(st.text(max_size=60), st.text(max_size=60))
def test_no_value_can_add_a_line_of_its_own(key: str, hostname: str) -> None:
    files = told(customer_metadata={"root_authorized_keys": key}, hostname=hostname)
    for line in files["meta-data"].splitlines():
        assert line.startswith(("instance-id: ", "local-hostname: ", "public-keys:", "  - "))
