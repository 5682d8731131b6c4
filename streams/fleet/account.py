"""What one process of a fleet knows at its end beside its records; the fleet's result is made of all of them."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from streams.fleet.drop import DropAccount

if TYPE_CHECKING:
    from device_sim.fleet import Fleet

FILE = "account.json"


class Account(msgspec.Struct, frozen=True, kw_only=True):
    """What each device cost, how often what ended how, and the `arms` that the newest task compares."""

    events: int
    bytes_up: list[int]
    bytes_down: list[int]
    bytes_stored: list[int]
    outcomes: dict[str, dict[str, int]]
    arms: tuple[str, ...]
    model_version: int | None
    task_version: int | None
    drop: DropAccount | None = None


def account_of(fleet: "Fleet", events: int, arms: Sequence[str], drop: DropAccount | None) -> Account:
    """Of a fleet that has predicted so many events."""
    devices, offer = list(fleet.devices.values()), fleet.offer
    outcomes: dict[str, dict[str, int]] = {}
    for (what, outcome), n in sorted(fleet.counts.items()):
        outcomes.setdefault(what, {})[str(outcome)] = n
    return Account(
        events=events,
        bytes_up=[device.usage.bytes_up for device in devices],
        bytes_down=[device.usage.bytes_down for device in devices],
        bytes_stored=[device.bytes_stored for device in devices],
        outcomes=outcomes,
        arms=tuple(arms),
        model_version=offer.model.version if offer.model else None,
        task_version=offer.task.task_version if offer.task else None,
        drop=drop,
    )
