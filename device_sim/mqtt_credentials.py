"""What MQTT clients prove with who they are: a folder of certificates and passwords, as `coda devices enrol` makes it.

    ca.crt               who signed the broker's certificate; without it, the machine's own list of authorities counts
    tunnel.crt, .key     a client's certificate and key, in PEM
    tunnel.password      its password, on one line
    devices/ann.crt …    a device's, under its name as in topics

A client presents what is there of it: with a certificate the broker takes its name from that, with a password the
client gives its name as the user's.
"""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paho.mqtt.client import Client

from wire.errors import InputError
from wire.ids import topic_part

# As the broker knows them. No device's name has an @ in it (`topic_part`), so that none passes for one of these.
TUNNEL, FLEET = "tunnel@cloud", "fleet@cloud"
CA, CERTIFICATE, KEY, PASSWORD = "ca.crt", ".crt", ".key", ".password"


def device(user_id: str) -> str:
    """A device as the broker knows it: as in its topics.

    >>> device("ann:b")
    'ann%3Ab'
    """
    return topic_part(user_id)


def stem(folder: Path, name: str) -> str:
    """Where the files of a client lie in `folder`, less their suffixes."""
    service = name.removesuffix("@cloud")
    return str(folder / service if service != name else folder / "devices" / name)


@dataclass(frozen=True, slots=True)
class Keyring:
    """The credentials in `folder`, if there is one, for connections with or without TLS."""

    folder: Path | None = None
    tls: bool = False

    def equip(self, client: Client, name: str, host: str) -> None:
        """Give a client that has not connected yet what proves that it is `name`, and what the broker at `host` proves
        itself by. Raises `InputError`.
        """
        if self.tls:
            client.tls_set_context(self._context(name, host))
        if self.folder is None:
            return
        path = Path(stem(self.folder, name) + PASSWORD)
        if path.exists():
            client.username_pw_set(name, _read(path).strip())
        elif not (self.tls and Path(stem(self.folder, name) + CERTIFICATE).exists()):
            raise InputError(f"no credentials of {name} in {self.folder}: `coda devices enrol` makes them")

    def _context(self, name: str, host: str) -> ssl.SSLContext:
        context = _Context(ssl.PROTOCOL_TLS_CLIENT)
        context.host = host
        ca = self.folder / CA if self.folder else None
        if ca is None or not ca.exists():
            context.load_default_certs()
        else:
            with _told(ca):
                context.load_verify_locations(ca)
        if self.folder and Path(stem(self.folder, name) + CERTIFICATE).exists():
            certificate = Path(stem(self.folder, name) + CERTIFICATE)
            with _told(certificate):
                context.load_cert_chain(certificate, stem(self.folder, name) + KEY)
        return context


OPEN = Keyring()  # nothing is asked


class _Socket(ssl.SSLSocket):
    """Closes itself when the two sides don't come to terms: paho leaves it open then."""

    def do_handshake(self, block: bool = False) -> None:
        try:
            super().do_handshake(block)
        except BaseException:
            self.close()
            raise


class _Context(ssl.SSLContext):
    """Checks the name that the user gave: paho knows only the address that was found for it."""

    host: str
    sslsocket_class = _Socket

    def wrap_socket(self, *given: Any, **named: Any) -> ssl.SSLSocket:
        return super().wrap_socket(*given, **{**named, "server_hostname": self.host})


@contextmanager
def _told(path: Path) -> Iterator[None]:
    """Say of which file an error is, and what to do."""
    try:
        yield
    except OSError as error:
        why = error.strerror or str(error)
        raise InputError(
            f"cannot use {path} ({why}): give certificates as PEM files, each with its key beside it"
        ) from error


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path} ({error}): it holds a password on one line") from error
