"""Certificates for tests: of `localhost` that no authority has signed, and of an authority."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """The files of a new certificate and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _named("localhost")
    certificate = _builder(name, name, key, "localhost").sign(key, hashes.SHA256())
    return _written(folder, "", certificate, key)


class Authority:
    """One that signs certificates; its own is in the file `path`."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        builder = _builder(self._name, self._name, self._key, name)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        own = builder.add_extension(basic, critical=True).sign(self._key, hashes.SHA256())
        self.path, _ = _written(folder, f"{name}-", own, self._key)

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a certificate of that name, and of its key."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_named(name), self._name, key, name)
        return _written(self._folder, f"{name}-", builder.sign(self._key, hashes.SHA256()), key)


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, host: str
) -> x509.CertificateBuilder:
    today = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
    )


def _written(
    folder: Path, prefix: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> tuple[Path, Path]:
    paths = folder / f"{prefix}certificate.pem", folder / f"{prefix}key.pem"
    paths[0].write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    paths[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return paths
