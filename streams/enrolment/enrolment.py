"""The folder of credentials: the authority, what the broker needs, and what every client presents.

ca.crt, ca.key            the authority; the key belongs to whoever enrols, and to nobody else
broker.crt, broker.key    the broker's certificate
passwords, acl            the broker's password file and access list (mosquitto)
tunnel.*, fleet.*         of the tunnel, and of the fleet's own connection
devices/NAME.*            of a device: what it is given, and nothing else of this
"""

from collections.abc import Iterable, Sequence
from datetime import datetime
from pathlib import Path

from device_sim.mqtt_credentials import CERTIFICATE, FLEET, KEY, PASSWORD, TUNNEL, device, stem
from streams.enrolment.authority import NAME_CHARS, Authority
from streams.enrolment.passwords import PasswordFile, new_password
from streams.enrolment.rights import access_list
from wire.durable import make_folder, write_durably
from wire.errors import InputError

BROKER, PASSWORDS, ACCESS = "broker", "passwords", "acl"
FILE_NAME_BYTES = 200  # of a device's; file systems take 255, with a suffix


class Enrolment:
    """The credentials in `folder`, made if need be; what is there stays as it is. `now` is the wall clock.

    `hosts` are the broker's names and addresses, `days` is how long certificates hold. Raises `InputError` and
    `StorageError`.
    """

    def __init__(self, folder: Path, now: datetime, *, hosts: Sequence[str], days: int) -> None:
        self._folder = folder
        make_folder(folder / "devices")
        self._authority = Authority(folder, now, days)
        self._passwords = PasswordFile(folder / PASSWORDS)
        if not (folder / f"{BROKER}{CERTIFICATE}").exists():
            self._authority.certify_broker(hosts, str(folder / BROKER))
        write_durably(folder / ACCESS, access_list().encode())
        self._enrol([TUNNEL, FLEET])

    def add(self, users: Iterable[str]) -> int:
        """Credentials for these users' devices, where they have none; how many that were."""
        names = [device(user) for user in users]
        for name in names:
            if not 0 < len(name) <= FILE_NAME_BYTES:
                raise InputError(f"a device's name of 1 to {FILE_NAME_BYTES} bytes, quoted, is needed: {name[:40]!r}")
        return self._enrol(names)

    def remove(self, users: Iterable[str]) -> None:
        """Take these devices' credentials away: they are void once the broker has read its files again."""
        names = list(dict.fromkeys(map(device, users)))
        if strangers := [name for name in names if name not in self._passwords]:
            raise InputError(f"{self._folder} has no device {strangers[0]}")
        certificates = [Path(stem(self._folder, name) + CERTIFICATE) for name in names]
        self._authority.revoke(filter(Path.exists, certificates))
        for name in names:
            self._passwords.forget(name)
        self._passwords.write()
        for name in names:
            for suffix in (CERTIFICATE, KEY, PASSWORD):
                Path(stem(self._folder, name) + suffix).unlink(missing_ok=True)

    def _enrol(self, names: Iterable[str]) -> int:
        new = [name for name in dict.fromkeys(names) if not self._complete(name)]
        for name in new:
            path = stem(self._folder, name)
            password = new_password()
            self._passwords.put(name, password)
            write_durably(Path(path + PASSWORD), password.encode() + b"\n", mode=0o600)
            if len(name) <= NAME_CHARS:
                self._authority.certify_client(name, path)
        if new:
            self._passwords.write()
        return len(new)

    def _complete(self, name: str) -> bool:
        last = CERTIFICATE if len(name) <= NAME_CHARS else PASSWORD  # of its files, in the order they are written
        return name in self._passwords and Path(stem(self._folder, name) + last).exists()
