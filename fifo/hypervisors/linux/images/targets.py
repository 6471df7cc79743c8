"""Where a download may go: public addresses only, unless the host's settings say otherwise.

The address is checked when the connection is made, after the name was resolved, and for each
redirect anew: a name that first resolves to a harmless address gains nothing.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from fifo.model.errors import DriverFailed, Forbidden, InvalidInput, Violation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Address = tuple[str, int]
    Resolve = Callable[[str, int], list[str]]

PORTS: Final = {"http": 80, "https": 443}
PORT_MAX: Final = 65_535
REGISTRY: Final = "docker://"
REFERENCE: Final = re.compile(
    r"(?P<host>[A-Za-z0-9.-]+(?::[0-9]{1,5})?)/"
    r"[a-z0-9]+(?:[._/-]+[a-z0-9]+)*"
    r"(?::[A-Za-z0-9_][A-Za-z0-9._-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)
"""A registry's host, a repository, and a tag or digest (the distribution specification 1.0)."""
ADVICE: Final = "use a public address, or set `images_from_private_addresses`"
LOOPBACK_ADVICE: Final = (
    "have the server that leads there send it itself; loopback is reached only as what is named"
)


class Target(NamedTuple):
    """What a URL points to, taken apart."""

    scheme: str
    host: str
    port: int
    path: str


def target(url: str, *, after: str = "") -> Target:
    """Take a URL apart; raises InvalidInput for what cannot be downloaded from.

    `after` is the scheme of the URL that redirected here: encryption is not given up on the way.
    """
    try:
        found = urlsplit(url)
        port = found.port
    except ValueError as error:
        raise _invalid(url, f"a URL ({error})") from None
    if wrong := next(_wrong(found, url, after), ""):
        raise _invalid(url, wrong)
    path = found.path or "/"
    assert found.hostname is not None
    return Target(
        found.scheme,
        found.hostname,
        port or PORTS[found.scheme],
        f"{path}?{found.query}" if found.query else path,
    )


def _wrong(found: SplitResult, url: str, after: str) -> Iterator[str]:
    if found.scheme not in PORTS:
        yield "a URL that begins with https:// or http://"
    if after == "https" and found.scheme != "https":
        yield "https, as where it was redirected from"
    if not found.hostname:
        yield "a URL with a host"
    if found.username or found.password:
        yield "a URL without user name and password"
    if any(ord(character) <= 0x20 or ord(character) >= 0x7F for character in url):  # noqa: PLR2004
        yield "a URL in printable ASCII"


def _invalid(url: str, wanted: str) -> InvalidInput:
    return InvalidInput(url, (Violation("source", wanted),))


def registry_host(reference: str) -> tuple[str, int]:
    """Give the host and port of a registry's reference; raises InvalidInput for what is none."""
    found = REFERENCE.fullmatch(reference.removeprefix(REGISTRY))
    if found is None or not {".", ":"} & set(found["host"]):
        raise _invalid(reference, f"{REGISTRY}registry.example.org/name:tag")
    host, _, digits = found["host"].partition(":")
    port = int(digits or PORTS["https"])
    if port > PORT_MAX:
        raise _invalid(reference, f"a port up to {PORT_MAX}")
    return host, port


def is_public(address: str) -> bool:
    """Tell whether an address is out in the world, the one within an IPv6 form counted too."""
    found = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if inner is not None and not is_public(str(inner)):
            return False
        if found in NAT64:
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
    return found.is_global and not found.is_multicast


def is_loopback(address: str) -> bool:
    """Tell whether an address leads back to this host's loopback, as the unspecified ones do."""
    found = ipaddress.ip_address(address.partition("%")[0])
    inner = getattr(found, "ipv4_mapped", None) or found
    return bool(inner.is_loopback or inner.is_unspecified)


NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")
"""IPv4 addresses within IPv6 ones (RFC 6052)."""


def resolve(host: str, port: int) -> list[str]:
    """Ask the system for a host's addresses; raises OSError, UnicodeError for no name. Blocks."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def admitted(
    host: str, port: int, *, private: bool, loopback: bool = True, ask: Resolve = resolve
) -> list[str]:
    """Give the addresses of a host that may be connected to; raises Forbidden if there are none.

    One inadmissible address is enough to refuse a host: who answers with both is up to something.
    `loopback` is for the host that the caller named, if `private` allows it: what listens there is
    often for this machine alone, and no server has a say in who asks it. Blocks on the resolver;
    raises DriverFailed if the name has no address.
    """
    try:
        found = ask(host, port)
    except (OSError, UnicodeError) as error:
        raise DriverFailed(f"cannot be resolved ({error})", host, "see the name") from None
    if not private and (inside := [each for each in found if not is_public(each)]):
        raise Forbidden(f"leads to {inside[0]}, which is not public", host, ADVICE)
    if not loopback and (own := [each for each in found if is_loopback(each)]):
        what = f"leads to {own[0]}, which is this host's own loopback"
        raise Forbidden(what, host, LOOPBACK_ADVICE)
    return found
