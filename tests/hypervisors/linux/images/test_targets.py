"""Where a download may go: row 3 of the threats, without a network."""

from __future__ import annotations

import pytest

from fifo.hypervisors.linux.images.targets import (
    LOOPBACK_ADVICE,
    admitted,
    is_public,
    registry_host,
    target,
)
from fifo.model.errors import DriverFailed, Forbidden, InvalidInput

INSIDE = (
    "127.0.0.1", "127.8.8.8", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "0.0.0.1", "100.64.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "198.18.0.1",
    "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1",
    "::ffff:10.0.0.1", "::ffff:127.0.0.1", "::ffff:169.254.169.254",
    "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:a00:1::", "2002:7f00:1::1", "2001:db8::1",
)  # fmt: skip
OUTSIDE = ("1.1.1.1", "93.184.216.34", "2606:4700::1111", "64:ff9b::101:101", "::ffff:1.1.1.1")


@pytest.mark.parametrize("address", INSIDE)
def test_an_address_of_the_inside_is_refused(address: str) -> None:
    assert not is_public(address)
    with pytest.raises(Forbidden) as told:
        admitted("name.example", 443, private=False, ask=lambda *_: [address])
    assert told.value.remedy
    assert admitted("name.example", 443, private=True, ask=lambda *_: [address]) == [address]


@pytest.mark.parametrize("address", OUTSIDE)
def test_an_address_of_the_outside_is_taken(address: str) -> None:
    assert admitted("name.example", 443, private=False, ask=lambda *_: [address]) == [address]


def test_a_host_that_answers_with_both_is_refused() -> None:
    with pytest.raises(Forbidden):
        admitted("name.example", 443, private=False, ask=lambda *_: ["1.1.1.1", "10.0.0.1"])


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.8.8", "::1", "::", "::1%lo", "::ffff:127.0.0.1",
        "0.0.0.0",  # noqa: S104 -- connected to, by which Linux means loopback
    ],
)  # fmt: skip
def test_loopback_is_refused_to_whom_it_may_not_be(address: str) -> None:
    def admitted_there(*, loopback: bool, private: bool = True) -> list[str]:
        found = ["10.0.0.1", address]
        return admitted(
            "name.example", 443, private=private, loopback=loopback, ask=lambda *_: found
        )

    assert admitted_there(loopback=True) == ["10.0.0.1", address]
    with pytest.raises(Forbidden, match="this host's own loopback") as told:
        admitted_there(loopback=False)
    assert told.value.remedy == LOOPBACK_ADVICE
    with pytest.raises(Forbidden, match="is not public"):
        admitted_there(loopback=False, private=False)


@pytest.mark.parametrize("address", ["10.0.0.1", "::ffff:10.0.0.1", "fe80::1%eth0", *OUTSIDE])
def test_what_is_not_loopback_is_taken_from_whom_loopback_is_not(address: str) -> None:
    found = admitted("x.example", 443, private=True, loopback=False, ask=lambda *_: [address])
    assert found == [address]


def test_a_name_without_an_address_says_so() -> None:
    def ask(*_: object) -> list[str]:
        raise OSError("no such name")

    with pytest.raises(DriverFailed):
        admitted("name.example", 443, private=False, ask=ask)


@pytest.mark.parametrize("name", ["a..example", f"{'x' * 64}.example"])
def test_what_cannot_be_a_name_has_no_address(name: str) -> None:
    with pytest.raises(DriverFailed, match="cannot be resolved"):
        admitted(name, 443, private=False)


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/x", "gopher://example.org/", "//example.org/x",
        "https://", "https:///x", "https://user:word@example.org/x", "https://example.org:99999/x",
        "https://example.org/a b", "https://example.org/\r\nHost: other", "https://[::1/x",
        "http://exämple.org/", "",
    ],
)  # fmt: skip
def test_what_is_no_plain_url_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        target(url)


def test_encryption_is_not_given_up_on_the_way() -> None:
    assert target("http://example.org/x").port == 80
    assert target("https://example.org/x?y=1", after="http")[1:] == ("example.org", 443, "/x?y=1")
    with pytest.raises(InvalidInput):
        target("http://example.org/x", after="https")


@pytest.mark.parametrize(
    ("reference", "host"),
    [
        ("docker://registry.example.org/name:tag", ("registry.example.org", 443)),
        (
            "docker://registry.example.org:5000/a/b@sha256:" + "0" * 64,
            ("registry.example.org", 5000),
        ),
        ("docker://localhost:5000/name", ("localhost", 5000)),
    ],
)
def test_a_registrys_reference_names_its_host(reference: str, host: tuple[str, int]) -> None:
    assert registry_host(reference) == host


@pytest.mark.parametrize(
    "reference",
    [
        "docker://name:tag", "docker://library/name", "docker://registry.example.org/",
        "docker://registry.example.org/Name", "docker://-o/x", "docker://registry.example.org/../x",
        "docker://registry.example.org/name --flag", "docker://registry.example.org/name\n",
        "docker:///etc/passwd", "docker://registry.example.org:65536/name",
    ],
)  # fmt: skip
def test_what_is_no_reference_is_refused(reference: str) -> None:
    with pytest.raises(InvalidInput):
        registry_host(reference)
