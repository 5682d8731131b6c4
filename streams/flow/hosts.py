"""The machines that one dataflow runs on: their addresses, in the order that all are told, and which this is."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

from wire.errors import InputError

_PORTS = 65_536


class Address(NamedTuple):
    """One host: a name or an IP address, and the first of its ports."""

    name: str
    port: int

    def __str__(self) -> str:
        return f"[{self.name}]:{self.port}" if ":" in self.name else f"{self.name}:{self.port}"

    def port_after(self, number: int) -> "Address":
        """The same host, so many ports on."""
        return Address(self.name, self.port + number)


class Hosts(NamedTuple):
    """All hosts, which of them this is, and how many processes each runs.

    A host takes `1 + processes` ports: on its first the hosts meet, if it is host 0, and on each after it listens one
    process. Process `i` of host `h` is number `h × processes + i` of all.
    """

    addresses: tuple[Address, ...]
    own: int
    processes: int

    @property
    def workers(self) -> int:
        """Processes on all hosts together."""
        return len(self.addresses) * self.processes

    @property
    def numbers(self) -> range:
        """Those of this host's processes."""
        return range(self.own * self.processes, (self.own + 1) * self.processes)

    @property
    def workers_at(self) -> list[Address]:
        """Where each process of all hosts listens, by its number."""
        return [address.port_after(1 + number) for address in self.addresses for number in range(self.processes)]

    def __str__(self) -> str:
        return ",".join(map(str, self.addresses))


def parse_hosts(words: str, own: int | None, processes: int) -> Hosts:
    """`A:P,B:P`, of which `own` is this one; raises `InputError`.

    >>> hosts = parse_hosts("10.0.0.1:9000,10.0.0.2:9000", own=1, processes=2)
    >>> [str(address) for address in hosts.workers_at], list(hosts.numbers)
    (['10.0.0.1:9001', '10.0.0.1:9002', '10.0.0.2:9001', '10.0.0.2:9002'], [2, 3])
    """
    addresses = tuple(_address(word, processes) for word in words.split(","))
    if own is None or not 0 <= own < len(addresses):
        given = "there is no --host" if own is None else f"--host is {own}"
        raise InputError(
            f"--hosts names {len(addresses)}, and {given}: it says which of them this is, 0 to {len(addresses) - 1}"
        )
    _check_apart(addresses, processes)
    return Hosts(addresses, own, processes)


def _address(word: str, processes: int) -> Address:
    name, _, port = word.strip().rpartition(":")
    name = name.removeprefix("[").removesuffix("]")
    if not name or not port.isdecimal():
        raise InputError(f"--hosts has {word.strip()!r}: give each host as HOST:PORT, with commas between")
    if not 0 < int(port) < _PORTS - processes:
        raise InputError(
            f"--hosts has {word.strip()}: a host takes {1 + processes} ports, of which the first is that one, "
            f"so give one of 1 to {_PORTS - 1 - processes}"
        )
    return Address(name, int(port))


def _check_apart(addresses: Sequence[Address], processes: int) -> None:
    for one, other in combinations(addresses, 2):
        if one == other:
            raise InputError(f"--hosts names {one} twice: each host has an address of its own")
        if one.name == other.name and abs(one.port - other.port) <= processes:
            raise InputError(
                f"--hosts names {one} and {other}, whose ports overlap: each takes {1 + processes} from its own on"
            )
