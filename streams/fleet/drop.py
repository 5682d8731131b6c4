"""A share of a fleet's devices cut off for a while, once, and the account of it (sans-I/O)."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import msgspec

from streams.faults.whose import Devices
from streams.fleet.orders import InForce
from streams.population.axis import Constant
from streams.population.population import Population

if TYPE_CHECKING:
    from device_sim.device import Device
    from device_sim.fleet import Fleet

AFTER_S = 20.0  # from the first own events on: devices that are there have connected by then, and have their batches


class DropAccount(msgspec.Struct, kw_only=True):
    """What it came to; times count from when the link is there again, None: not yet, or not at all."""

    share: float
    lasts_s: float
    began: bool = False
    ended: bool = False
    devices: int = 0
    cut: int = 0  # of them that were connected
    waited: int = 0  # events on them when it was over
    waiting: int = 0  # events on them at the end of the run
    connected_s: float | None = None
    delivered_s: float | None = None

    def line(self) -> str:
        """In a sentence."""
        what = f"{self.share:.0%} of devices dropped for {self.lasts_s:g} s"
        if not self.ended:
            return f"{what}: {'it was not over yet' if self.began else 'it did not begin'}, let it run for longer"
        back = "not all back" if self.connected_s is None else f"all back {self.connected_s:.1f} s later"
        sent = "" if self.delivered_s is None else f", with the cloud {self.delivered_s:.1f} s later"
        return (
            f"{what}: {self.cut:,} of {self.devices:,} cut, {back}; {self.waited:,} events waited on them{sent}; "
            f"{self.waiting:,} wait still"
        )


def drop_of_all(accounts: Sequence[DropAccount]) -> DropAccount:
    """That of all processes of a fleet: over, and back, when it is so in each of them."""
    connected_s, delivered_s = ([getattr(a, name) for a in accounts] for name in ("connected_s", "delivered_s"))
    return DropAccount(
        share=accounts[0].share,
        lasts_s=accounts[0].lasts_s,
        began=any(account.began for account in accounts),
        ended=all(account.ended for account in accounts),
        devices=sum(account.devices for account in accounts),
        cut=sum(account.cut for account in accounts),
        waited=sum(account.waited for account in accounts),
        waiting=sum(account.waiting for account in accounts),
        connected_s=None if None in connected_s else max(connected_s),
        delivered_s=None if None in delivered_s else max(delivered_s),
    )


class Drop:
    """Orders of a `share` of devices to be away for `lasts_s`, `AFTER_S` after the first look, with their account."""

    def __init__(self, share: float, lasts_s: float, seed: int) -> None:
        self.members = Devices(0.0, share, seed)
        self.account = DropAccount(share=share, lasts_s=lasts_s)
        self._away = Population(seed, connectivity=Constant("drop", seed, 0.0), members=self.members)
        self._since_ms: int | None = None

    def look(self, fleet: "Fleet", now_ms: int) -> Sequence[InForce]:
        """The members are away, when it is time."""
        if self._since_ms is None:
            self._since_ms = now_ms + round(1000 * AFTER_S)
        until_ms = self._since_ms + round(1000 * self.account.lasts_s)
        if now_ms >= self._since_ms:
            theirs = [device for user_id, device in fleet.devices.items() if user_id in self.members]
            self._note(theirs, (now_ms - until_ms) / 1000)
        return [InForce(self._away, self._since_ms)] if self._since_ms <= now_ms < until_ms else []

    def _note(self, theirs: Sequence["Device"], later_s: float) -> None:
        """`later_s` after the end, or before it."""
        account, connected = self.account, sum(device.connected for device in theirs)
        account.waiting = sum(len(device.outbox) for device in theirs)
        if not account.began:
            account.began, account.devices, account.cut = True, len(theirs), connected
        if later_s < 0:
            return
        if not account.ended:
            account.ended, account.waited = True, account.waiting
        if account.connected_s is None and connected >= account.cut:
            account.connected_s = later_s
        if account.delivered_s is None and not account.waiting:
            account.delivered_s = later_s
