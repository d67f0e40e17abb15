"""The certificate that a TLS listener shows, and the pin by which dialers know it.

Self-signed EC P-256, named "tallow", for ten years. Only its public key counts, whose SHA-256 is
the pin (over the SubjectPublicKeyInfo, RFC 5280 section 4.1.2.7, in DER).

`cryptography.x509` is imported where it is needed: most runs load this driver to know of it, and
never use it.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import os
import secrets
import ssl
import stat
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tallow_core.errors import ConfigError
from tallow_core.private_files import (
    PRIVATE_FILE,
    READ,
    WRITE_NEW,
    ensure_private,
    is_open_to_others,
    is_own,
)

if TYPE_CHECKING:
    from cryptography import x509

IDENTITY_FILE = "relay-identity.pem"
"""The identity file in the state directory: the private key (PKCS 8) and the certificate, PEM, mode
0600."""
_LIFETIME = datetime.timedelta(days=3650)
_MAX_IDENTITY_BYTES = 1 << 16
"""The most bytes that are read of an identity file. A real one has about 800 bytes."""


def fresh_identity() -> bytes:
    """A new key and certificate, PEM."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "tallow")])
    start = datetime.datetime.now(datetime.UTC) - datetime.timedelta(days=1)  # clocks differ
    certificate = (
        x509.CertificateBuilder(issuer_name=name, subject_name=name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(start + _LIFETIME)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return private + certificate.public_bytes(serialization.Encoding.PEM)


def lasting_identity(state: Path) -> bytes:
    """The identity kept in `state`, made at the first start; `ConfigError` if another user could
    have read or put it there."""
    path = ensure_private(state) / IDENTITY_FILE
    try:
        if not os.path.lexists(path):
            _publish(path, fresh_identity())
        return _read_own(path)
    except OSError as error:
        raise ConfigError(
            f"the relay's identity {path} cannot be used ({error.strerror}); check the state"
            " directory"
        ) from error


def _publish(path: Path, pem: bytes) -> None:
    """Write under a random name and link: of two starts at once, the first one's file is the one
    that both use."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(16)}")
    fd = os.open(temporary, WRITE_NEW, PRIVATE_FILE)
    try:
        with open(fd, "wb") as file:
            file.write(pem)
            file.flush()
            os.fsync(fd)
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        temporary.unlink()


def _read_own(path: Path) -> bytes:
    fd = os.open(path, READ)
    try:
        facts = os.fstat(fd)
        if not (stat.S_ISREG(facts.st_mode) and is_own(facts)):
            raise ConfigError(
                f"the relay's identity {path} is not a regular file of yours; remove it, and a new"
                " one is made"
            )
        if is_open_to_others(facts):
            raise ConfigError(
                f"the relay's identity {path} can be read by others; run chmod 600 '{path}', or"
                " remove it for a new one"
            )
        return os.read(fd, _MAX_IDENTITY_BYTES)
    finally:
        os.close(fd)


def only_tls_1_3(context: ssl.SSLContext) -> ssl.SSLContext:
    """Restrict `context` to TLS 1.3, and let TCP's end stand for close_notify.

    An attacker between may then cut the connection and it looks like an end. The session finds
    that: its sealed lanes each end with a record of their own. OpenSSL 3 would otherwise fail the
    other direction too.
    """
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.options |= getattr(ssl, "OP_IGNORE_UNEXPECTED_EOF", 0)  # older ones have no need of it
    return context


def server_context(pem: bytes, origin: str) -> ssl.SSLContext:
    """A TLS 1.3 server's context with the identity `pem`; `ConfigError` naming `origin` if it holds
    no matching key and certificate."""
    context = only_tls_1_3(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER))
    # No resumption; and a client that only sends must not fill its unread side.
    context.num_tickets = 0
    # OpenSSL's loader wants a name; mkstemp's is random and 0600.
    fd, path = tempfile.mkstemp(prefix="tallow-")
    try:
        with open(fd, "wb") as file:
            file.write(pem)
        context.load_cert_chain(path)
    except ssl.SSLError as error:
        raise _damaged(origin) from error
    finally:
        os.unlink(path)
    return context


def pin_of_identity(pem: bytes, origin: str) -> str:
    """The pin of the certificate in `pem`, 64 hex digits; `ConfigError` naming `origin` if there is
    none."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return _pin(x509.load_pem_x509_certificate(pem))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _damaged(origin) from error


def pin_of_der(certificate: bytes) -> str | None:
    """The pin of a peer's certificate, or None if its public key cannot be read."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return _pin(x509.load_der_x509_certificate(certificate))
    except (ValueError, UnsupportedAlgorithm):
        return None


def _pin(certificate: x509.Certificate) -> str:
    from cryptography.hazmat.primitives import serialization

    spki = certificate.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(spki).hexdigest()


def _damaged(origin: str) -> ConfigError:
    return ConfigError(
        f"the identity {origin} holds no matching key and certificate; restore it, or remove it"
        " for a new one"
    )
