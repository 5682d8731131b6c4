"""The password file of mosquitto: PBKDF2-SHA512, as `mosquitto_passwd` writes it."""

import base64
import hashlib
import secrets
from pathlib import Path

from wire.durable import write_durably
from wire.errors import InputError

_ROUNDS = 101  # mosquitto's; these passwords are 192 random bits, which no number of guesses finds
_SALT_BYTES, _HASH_BYTES = 12, 64


def new_password() -> str:
    """A password that nobody guesses."""
    return secrets.token_urlsafe(24)


class PasswordFile:
    """Names and hashed passwords; `write` replaces the file at once. Raises `InputError` and `StorageError`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines: dict[str, str] = {}
        try:
            text = path.read_text() if path.exists() else ""
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"cannot read {path} ({error}): put it back from a copy") from error
        for line in filter(None, text.splitlines()):
            name, colon, hashed = line.rpartition(":")
            if not colon:
                raise InputError(f"{path} has a line without a password: put it back from a copy")
            self._lines[name] = hashed

    def __contains__(self, name: str) -> bool:
        return name in self._lines

    def put(self, name: str, password: str) -> None:
        """Let `name` in with `password` from now on."""
        salt = secrets.token_bytes(_SALT_BYTES)
        hashed = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ROUNDS, _HASH_BYTES)
        encoded = (base64.b64encode(part).decode() for part in (salt, hashed))
        self._lines[name] = f"$7${_ROUNDS}${'$'.join(encoded)}"

    def forget(self, name: str) -> None:
        """Let `name` in no more."""
        self._lines.pop(name, None)

    def write(self) -> None:
        """Make this the file's content."""
        lines = [f"{name}:{hashed}\n" for name, hashed in self._lines.items()]
        write_durably(self._path, "".join(lines).encode(), mode=0o600)
