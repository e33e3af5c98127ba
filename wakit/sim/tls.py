"""A certificate authority made on the spot, and a certificate for WhatsApp's host.

The authority lives as long as the state directory: its file is what clients are told to trust. It signs for the one
host below and nothing else (a name constraint says so), so trusting it by accident does little harm.
"""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from wakit.sim.statedir import SimDirectory

HOST: Final = "web.whatsapp.com"
_AUTHORITY_LIFE: Final = timedelta(days=3650)
_LEAF_LIFE: Final = timedelta(days=365)
_RENEW_BEFORE: Final = timedelta(days=30)
_CLOCK_SKEW: Final = timedelta(days=1)


def server_context(directory: SimDirectory, now: datetime) -> ssl.SSLContext:
    """Return the server's TLS settings, making or renewing the certificates in ``directory`` as needed."""
    if not _is_fresh(directory, now):
        _issue(directory, now)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(directory.path / "leaf.pem", directory.path / "leaf.key")
    return context


def authority_file(directory: SimDirectory) -> Path:
    """Return the path of the authority's certificate, which clients are to trust."""
    return directory.path / "ca.pem"


def _is_fresh(directory: SimDirectory, now: datetime) -> bool:
    leaf = directory.read("leaf.pem")
    if leaf is None or directory.read("leaf.key") is None:
        return False
    return x509.load_pem_x509_certificate(leaf).not_valid_after_utc - now > _RENEW_BEFORE


def _issue(directory: SimDirectory, now: datetime) -> None:
    key, authority = _authority(directory, now)
    leaf_key = ec.generate_private_key(ec.SECP256R1())
    leaf = (
        _builder(_name(HOST), authority.subject, leaf_key, now, _LEAF_LIFE)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    # The certificate goes last: without it the key is only made again.
    directory.write("leaf.key", _pem(leaf_key))
    directory.write("leaf.pem", leaf.public_bytes(Encoding.PEM))


def _authority(directory: SimDirectory, now: datetime) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    stored_key, stored = directory.read("ca.key"), directory.read("ca.pem")
    if stored_key is not None and stored is not None:
        key = load_pem_private_key(stored_key, None)
        if isinstance(key, ec.EllipticCurvePrivateKey):
            return key, x509.load_pem_x509_certificate(stored)
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name("wakit loopback WhatsApp")
    authority = (
        _builder(name, name, key, now, _AUTHORITY_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(HOST)], None), critical=True)
        .add_extension(_SIGNS_CERTIFICATES, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, SHA256())
    )
    directory.write("ca.key", _pem(key))
    directory.write("ca.pem", authority.public_bytes(Encoding.PEM))
    return key, authority


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, now: datetime, life: timedelta
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - _CLOCK_SKEW)
        .not_valid_after(now.astimezone(UTC) + life)
    )


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


_SIGNS_CERTIFICATES: Final = x509.KeyUsage(
    key_cert_sign=True,
    crl_sign=True,
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    encipher_only=False,
    decipher_only=False,
)
