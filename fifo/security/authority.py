"""A node's own certificate authority: makes itself, and certificates for servers.

Keys are ECDSA on P-256, which every TLS client speaks and which sign in microseconds.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from typing import TYPE_CHECKING, Final, NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from fifo.security import limits

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPrivateKeyTypes

_DAY_S: Final = 86_400.0


class Issued(NamedTuple):
    """A private key and its certificate, both in PEM."""

    key: bytes
    certificate: bytes


def make_authority(name: str, now: float) -> Issued:
    """Make a new CA; `now` is in UTC seconds."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"FiFo CA of {name}"[:64])])
    certificate = (
        _begun(subject, subject, key.public_key(), now, limits.AUTHORITY_DAYS)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .sign(key, hashes.SHA256())
    )
    return Issued(_private(key), certificate.public_bytes(serialization.Encoding.PEM))


def issue(authority: Issued, names: Iterable[str], now: float) -> Issued:
    """Make a server certificate for host names and addresses, with a new key."""
    issuer = x509.load_pem_x509_certificate(authority.certificate)
    signer = serialization.load_pem_private_key(authority.key, None)
    key = ec.generate_private_key(ec.SECP256R1())
    alternatives = [_alternative(name) for name in dict.fromkeys(names)]
    certificate = (
        _begun(x509.Name([]), issuer.subject, key.public_key(), now, limits.SERVER_DAYS)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        # The subject is empty, so the names have to be critical (RFC 5280, 4.2.1.6).
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(
                issuer.public_key()  # type: ignore[arg-type]
            ),
            critical=False,
        )
        .sign(_issuer_key(signer), hashes.SHA256())
    )
    return Issued(_private(key), certificate.public_bytes(serialization.Encoding.PEM))


def lifetime(certificate: bytes) -> tuple[float, float]:
    """Give the UTC seconds from which and until which a certificate (PEM) holds."""
    found = x509.load_pem_x509_certificate(certificate)
    return found.not_valid_before_utc.timestamp(), found.not_valid_after_utc.timestamp()


def names_of(certificate: bytes) -> frozenset[str]:
    """Give the host names and addresses that a certificate (PEM) is for."""
    found = x509.load_pem_x509_certificate(certificate)
    listed = found.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return frozenset(str(name.value) for name in listed)


def fingerprint(certificate: bytes) -> str:
    """Give the SHA-256 of a certificate (PEM), 64 hexadecimal digits."""
    return x509.load_pem_x509_certificate(certificate).fingerprint(hashes.SHA256()).hex()


def signed_by(certificate: bytes, authority: bytes) -> bool:
    """Tell whether a CA's certificate has signed another (both PEM)."""
    issuer = x509.load_pem_x509_certificate(authority)
    try:
        x509.load_pem_x509_certificate(certificate).verify_directly_issued_by(issuer)
    except Exception:  # noqa: BLE001 - whatever does not check out was not signed by it
        return False
    return True


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, now: float, days: int
) -> x509.CertificateBuilder:
    begin = dt.datetime.fromtimestamp(now - limits.BACKDATE_S, dt.UTC)
    end = dt.datetime.fromtimestamp(now + days * _DAY_S, dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _issuer_key(key: object) -> CertificateIssuerPrivateKeyTypes:
    assert isinstance(key, ec.EllipticCurvePrivateKey), "our own CA has no other kind of key"
    return key


def _private(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
