"""A node makes its own CA and certificate once, keeps them private, and renews in time."""

from __future__ import annotations

import datetime as dt
import socket
import ssl
import threading
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from fifo.model.errors import NotReady
from fifo.security import authority, limits
from fifo.security.certificates import Certificates

if TYPE_CHECKING:
    from pathlib import Path

NOW = 1_800_000_000.0
DAY_S = 86_400.0


class Clock:
    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> float:
        return self.now


def loaded(directory: Path, clock: Clock | None = None, hostname: str = "host-1") -> Certificates:
    certificates = Certificates(directory / "tls", hostname, clock or Clock())
    certificates.load()
    return certificates


def test_the_first_start_makes_a_ca_and_a_certificate_for_every_name(tmp_path: Path) -> None:
    made = loaded(tmp_path)
    names = authority.names_of(made.server.certificate)
    assert names == {"localhost", "127.0.0.1", "::1", "host-1"}
    assert authority.signed_by(made.server.certificate, made.authority.certificate)
    assert made.ca_path.read_bytes() == made.authority.certificate
    assert b"PRIVATE" not in made.ca_path.read_bytes()


def test_what_was_made_is_for_its_owner_alone(tmp_path: Path) -> None:
    loaded(tmp_path)
    directory = tmp_path / "tls"
    assert directory.stat().st_mode & 0o777 == 0o700
    modes = {path.name: path.stat().st_mode & 0o777 for path in directory.iterdir()}
    assert modes == {"ca.pem": 0o600, "server.pem": 0o600, "ca.crt": 0o600}


def test_a_later_start_keeps_them(tmp_path: Path) -> None:
    assert loaded(tmp_path).server == loaded(tmp_path).server
    assert loaded(tmp_path).authority == loaded(tmp_path).authority


def test_a_certificate_is_renewed_at_two_thirds_of_its_life(tmp_path: Path) -> None:
    clock = Clock()
    made = loaded(tmp_path, clock)
    first = made.server
    clock.now += 0.66 * limits.SERVER_DAYS * DAY_S
    assert not made.renew()
    clock.now += 0.02 * limits.SERVER_DAYS * DAY_S
    assert made.renew()
    assert made.server != first
    assert made.expire_time == pytest.approx(clock.now + limits.SERVER_DAYS * DAY_S, abs=1)
    assert loaded(tmp_path, clock).server == made.server


@pytest.mark.parametrize("offset_s", [-2 * limits.BACKDATE_S, 800 * DAY_S])
def test_one_that_does_not_hold_now_is_replaced_at_the_start(
    tmp_path: Path, offset_s: float
) -> None:
    first = loaded(tmp_path).server
    clock = Clock()
    clock.now += offset_s
    assert loaded(tmp_path, clock).server != first


def test_a_new_host_name_gets_a_new_certificate_of_the_same_ca(tmp_path: Path) -> None:
    before, after = loaded(tmp_path), loaded(tmp_path, hostname="host-2")
    assert after.authority == before.authority
    assert "host-2" in authority.names_of(after.server.certificate)


def test_a_certificate_of_another_ca_is_replaced(tmp_path: Path) -> None:
    first = loaded(tmp_path)
    (tmp_path / "tls" / "ca.pem").unlink()
    second = loaded(tmp_path)
    assert second.ca_sha256 != first.ca_sha256
    assert authority.signed_by(second.server.certificate, second.authority.certificate)


@pytest.mark.parametrize("name", ["ca.pem", "server.pem"])
def test_a_file_that_others_may_read_is_refused(tmp_path: Path, name: str) -> None:
    loaded(tmp_path)
    (tmp_path / "tls" / name).chmod(0o640)
    with pytest.raises(NotReady, match="chmod go-rwx"):
        loaded(tmp_path)


def test_a_directory_that_others_may_enter_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path)
    (tmp_path / "tls").chmod(0o755)
    with pytest.raises(NotReady, match="0755"):
        loaded(tmp_path)


def test_a_link_in_place_of_a_key_is_refused(tmp_path: Path) -> None:
    loaded(tmp_path)
    path = tmp_path / "tls" / "ca.pem"
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(NotReady, match="symbolic link"):
        loaded(tmp_path)


def test_a_broken_file_is_told_with_what_to_do(tmp_path: Path) -> None:
    loaded(tmp_path)
    (tmp_path / "tls" / "ca.pem").write_bytes(b"garbage")
    with pytest.raises(NotReady, match="remove it to have a new one made"):
        loaded(tmp_path)


def test_the_ca_signs_servers_and_nothing_below_them(tmp_path: Path) -> None:
    made = loaded(tmp_path)
    ca = x509.load_pem_x509_certificate(made.authority.certificate)
    limits_of_ca = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits_of_ca.ca, limits_of_ca.path_length) == (True, 0)
    leaf = x509.load_pem_x509_certificate(made.server.certificate)
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    assert leaf.not_valid_before_utc < dt.datetime.fromtimestamp(NOW, dt.UTC)


def test_a_client_that_trusts_the_ca_alone_accepts_it(tmp_path: Path) -> None:
    certificates = Certificates(tmp_path / "tls", "", lambda: dt.datetime.now(dt.UTC).timestamp())
    certificates.load()
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    chain = tmp_path / "chain.pem"
    chain.write_bytes(certificates.server.key + certificates.chain)
    serving.load_cert_chain(chain)
    trusting = ssl.create_default_context(cafile=str(certificates.ca_path))
    here, there = socket.socketpair()
    greeted = threading.Thread(target=lambda: serving.wrap_socket(there, server_side=True).close())
    greeted.start()
    with trusting.wrap_socket(here, server_hostname="127.0.0.1") as secured:
        assert secured.version() == "TLSv1.3"
    greeted.join()
