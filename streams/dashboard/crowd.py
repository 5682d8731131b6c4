"""Each device as one cell, from what devices and the tunnel report on the topic `telemetry` (sans-I/O)."""

from collections.abc import Mapping

import msgspec

from monitor.seldom import Seldom
from streams.kafka.topics import TELEMETRY
from wire.canary import is_canary
from wire.malformed import Malformed
from wire.outcome import Batches, Trainings
from wire.telemetry import Ack, Presence, Training, decode_report

MOST = 100_000  # devices: 60 MB; who comes after is not shown
FRESH_MS = 600_000  # a device that trained within so long is fresh: as long as its batches are (Task.candidate_age_ms)
OFFLINE, CONNECTED, STALE, TRAINED = "o", "c", "s", "t"


class Device(msgspec.Struct):
    """What is known of one device; moments by Kafka's clock, 0 for never."""

    user_id: str
    online: bool = False
    since_ms: int = 0
    batch_ms: int = 0
    batch_outcome: str = ""
    trained_ms: int = 0
    model: str = ""
    lineage: str = ""
    version: int = 0
    trainings: Mapping[Trainings, int] = {}
    batches: Mapping[Batches, int] = {}
    passed: Mapping[str, int] = {}
    events: int = 0
    log_loss: Mapping[str, float] = {}
    bytes_up: int = 0
    bytes_down: int = 0
    compute_ms: float = 0.0
    link: list[tuple[int, bool]] = []

    def cell(self, now_ms: int, newest_version: int) -> str:
        """How it is in one letter: offline; connected; stale (an older model, or long untrained); freshly trained.

        `newest_version` is that of its model's lineage: another one's numbers say nothing of it.
        """
        if not self.online:
            return OFFLINE
        if not self.trained_ms:
            return CONNECTED
        fresh = now_ms - self.trained_ms < FRESH_MS and self.version >= newest_version
        return TRAINED if fresh else STALE


class Crowd:
    """All devices by the order in which they were first heard of; warns of what is no report."""

    def __init__(self) -> None:
        self._devices: dict[str, Device] = {}
        self._seldom = Seldom()

    def take(self, raw: bytes, heard_ms: int) -> None:
        """What a device reported, or the tunnel of it."""
        try:
            report = decode_report(raw)
        except Malformed as error:
            self._seldom.warning(f"passed over a message of the topic {TELEMETRY}: {error}")
            return
        if is_canary(report.user_id) or (report.user_id not in self._devices and len(self._devices) >= MOST):
            return
        device = self._devices.setdefault(report.user_id, Device(report.user_id))
        match report:
            case Presence(online=online):
                self._came_or_went(device, heard_ms, online=online)
            case Ack():
                device.batch_ms, device.batch_outcome, device.batches = heard_ms, str(report.outcome), report.batches
                self._came_or_went(device, heard_ms, online=True)
            case Training():
                before, trained = (sum(each.values()) for each in (device.trainings, report.trainings))
                if trained and trained != before:  # one whose link is back reports, too, and one that stands aside
                    device.trained_ms = heard_ms
                device.trainings, device.passed = report.trainings, report.passed
                device.model, device.batches = str(report.model), report.batches
                device.lineage, device.version = report.model.lineage, report.model.version
                device.events, device.compute_ms = report.events, report.compute_ms
                device.log_loss, device.bytes_up, device.bytes_down = (
                    report.head_log_loss,
                    report.bytes_up,
                    report.bytes_down,
                )

    def device(self, user_id: str) -> Device | None:
        """One device."""
        return self._devices.get(user_id)

    @property
    def names(self) -> list[str]:
        """Users, in the order of `cells`."""
        return list(self._devices)

    def cells(self, now_ms: int) -> str:
        """A letter for each device."""
        newest: dict[str, int] = {}
        for device in self._devices.values():
            newest[device.lineage] = max(device.version, newest.get(device.lineage, 0))
        return "".join(device.cell(now_ms, newest[device.lineage]) for device in self._devices.values())

    def _came_or_went(self, device: Device, at_ms: int, *, online: bool) -> None:
        if device.online != online:
            device.online, device.since_ms = online, at_ms
            device.link = [*device.link[-19:], (at_ms, online)]
