"""A small certificate authority of one's own: signs the broker's certificate and one for each client (X.509, P-256)."""

import ipaddress
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from device_sim.mqtt_credentials import CA, CERTIFICATE, KEY
from wire.durable import write_durably
from wire.errors import InputError

CA_KEY, REVOKED = "ca.key", "revoked.pem"
NAME_CHARS = 64  # of a common name, by X.509
_BACKDATED = timedelta(hours=1)  # a device's clock may be behind


class Authority:
    """The authority in a folder, made on first use; `ca.key` is its secret. `now` is the wall clock.

    Raises `InputError` and `StorageError`.
    """

    def __init__(self, folder: Path, now: datetime, days: int) -> None:
        self._folder, self._from, self._until = folder, now - _BACKDATED, now + timedelta(days=days)
        if (folder / CA_KEY).exists():
            self._key, self._name = _load(folder)
            return
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named("coda devices")
        own = x509.BasicConstraints(ca=True, path_length=0)
        certificate = self._builder(self._name, self._key).add_extension(own, critical=True)
        write_durably(folder / CA, _pem(certificate.sign(self._key, hashes.SHA256())))
        _write_key(folder / CA_KEY, self._key)
        self.revoke([])

    def certify_client(self, name: str, stem: str) -> None:
        """A certificate and a key for the client that the broker shall know as `name`."""
        self._certify(name, stem, ExtendedKeyUsageOID.CLIENT_AUTH)

    def certify_broker(self, hosts: Sequence[str], stem: str) -> None:
        """A certificate and a key for the broker at `hosts`, names or addresses."""
        names = x509.SubjectAlternativeName([_host(host) for host in hosts])
        self._certify(hosts[0][:NAME_CHARS], stem, ExtendedKeyUsageOID.SERVER_AUTH, names)

    def revoke(self, certificates: Iterable[Path]) -> None:
        """Declare these certificates void, beside those that are already."""
        builder = x509.CertificateRevocationListBuilder(self._name, self._from, self._until)
        path = self._folder / REVOKED
        for each in x509.load_pem_x509_crl(path.read_bytes()) if path.exists() else ():
            builder = builder.add_revoked_certificate(each)
        for certificate in certificates:
            serial = x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number
            revoked = x509.RevokedCertificateBuilder(serial, self._from).build()
            builder = builder.add_revoked_certificate(revoked)
        signed = builder.sign(self._key, hashes.SHA256())
        write_durably(path, signed.public_bytes(serialization.Encoding.PEM))

    def _certify(
        self, name: str, stem: str, usage: x509.ObjectIdentifier, names: x509.SubjectAlternativeName | None = None
    ) -> None:
        key = ec.generate_private_key(ec.SECP256R1())
        builder = self._builder(_named(name), key).add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        builder = builder.add_extension(names, critical=False) if names else builder
        _write_key(Path(stem + KEY), key)  # first: a certificate without its key is of no use
        write_durably(Path(stem + CERTIFICATE), _pem(builder.sign(self._key, hashes.SHA256())))

    def _builder(self, subject: x509.Name, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        return x509.CertificateBuilder(
            issuer_name=self._name,
            subject_name=subject,
            public_key=key.public_key(),
            serial_number=x509.random_serial_number(),
            not_valid_before=self._from,
            not_valid_after=self._until,
        )


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_key(path: Path, key: ec.EllipticCurvePrivateKey) -> None:
    plain, form = serialization.NoEncryption(), serialization.PrivateFormat.PKCS8
    write_durably(path, key.private_bytes(serialization.Encoding.PEM, form, plain), mode=0o600)


def _load(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Name]:
    try:
        key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), None)
        certificate = x509.load_pem_x509_certificate((folder / CA).read_bytes())
    except (OSError, ValueError, TypeError) as error:
        raise InputError(
            f"cannot read {CA} and {CA_KEY} in {folder} ({error}): put both back, or enrol into a new folder"
        ) from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise InputError(f"{CA_KEY} in {folder} is not the key of {CA} there: put the one back that belongs to it")
    return key, certificate.subject
