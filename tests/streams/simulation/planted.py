"""Bugs that are put into the product on purpose, one at a time: each must be caught within 200 seeds.

python -m tests.streams.simulation.planted
"""

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any
from unittest.mock import patch

import structlog
import torch

from streams.simulation.plan import draw
from streams.simulation.run import simulate

SEEDS = 200
Plant = Callable[[], Any]


@dataclass(frozen=True)
class Caught:
    """By which seed and invariant, after how many seconds."""

    seed: int
    by: str
    seconds: float


@contextmanager
def no_dedupe() -> Iterator[None]:
    """A user's events count as often as they come."""
    from operators.user import UserState

    def handle(self: UserState, *args: Any) -> Any:
        self.seen = _Never()
        return real(self, *args)

    real = UserState.handle
    with patch.object(UserState, "handle", handle):
        yield


class _Never(dict[int, Any]):
    def __contains__(self, key: object) -> bool:
        return False


@contextmanager
def ack_before_write() -> Iterator[None]:
    """The tunnel tells a device that its events have arrived before Kafka has them."""
    from streams.tunnel.courier import Courier

    with patch.object(Courier, "arrived", lambda _: True):
        yield


@contextmanager
def version_check_off() -> Iterator[None]:
    """A device takes batches of any cloud model."""
    from device_sim.device import Device

    def judge(self: Device, batch: Any) -> Any:
        return real(self, replace(batch, model=self.model))

    real = Device._judge
    with patch.object(Device, "_judge", judge):
        yield


@contextmanager
def another_devices_batch() -> Iterator[None]:
    """A device takes a retained batch that was made for another one."""
    from device_sim.device import Device

    def judge(self: Device, batch: Any) -> Any:
        return real(self, replace(batch, user_id=self.user_id))

    real = Device._judge
    with patch.object(Device, "_judge", judge):
        yield


PLANTED: dict[str, Plant] = {
    "no dedupe": no_dedupe,
    "ack before write": ack_before_write,
    "retained batch of another device": another_devices_batch,
    "version check off": version_check_off,
}


def hunt(plant: Plant, seeds: int = SEEDS) -> Caught | None:
    """The first seed that catches the bug."""
    began_s = time.perf_counter()
    with plant():
        for seed in range(1, seeds + 1):
            violation = simulate(draw(seed), converge=False).violation
            if violation is not None:
                return Caught(seed, violation.name, time.perf_counter() - began_s)
    return None


def main() -> None:
    """The table."""
    torch.set_num_threads(1)
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
    print("| planted bug | caught by seed | by | after s |\n|---|---|---|---|")  # noqa: T201
    for name, plant in PLANTED.items():
        caught = hunt(plant)
        told = f"{caught.seed} | {caught.by} | {caught.seconds:.0f}" if caught else "never | – | –"
        print(f"| {name} | {told} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
