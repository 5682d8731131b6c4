"""What the cloud adds up is what devices did, whatever becomes of their reports and of themselves."""

from dataclasses import dataclass, field

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from device_sim.device import Device
from device_sim.instruction import Publish
from device_sim.state import REPORTS
from device_sim.stimulus import Connected, Predicted
from device_sim.usage import Usage, UsageState
from models.blend import HEADS
from models.evidence import EVIDENCE
from monitor.metrics import Metrics
from streams.training.fleet_reports import FleetReports
from streams.training.newest import LIVES, Newest
from tests.device_sim.world import event
from wire.identity import NO_MODEL
from wire.moments import WallMs
from wire.task import ARMS, Task
from wire.telemetry import Training, decode_report

NOW = WallMs(10**12)


@dataclass
class Phone:
    """A device that is killed and comes back from an older snapshot, or from none."""

    name: str
    run: int = 0
    lives: int = 1
    sent: list[bytes] = field(default_factory=list)
    snapshots: list[UsageState] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.device = Device(self.name)

    def use(self, nats: int) -> None:
        """An event on which every head loses so much."""
        says = np.full(len(HEADS), float(nats)), np.zeros(EVIDENCE), np.zeros(len(ARMS)), np.zeros(len(ARMS))
        n = self.device.usage.events
        self.device.window.append(1, 1, 1, event(self.name, n).timestamp, taken=(0, 0), history=(b"", b""))
        self.device.handle(Predicted(n, NO_MODEL, 0.5, *says), WallMs(0))

    def report(self) -> None:
        """The link is back: the device says what it did."""
        out = self.device.handle(Connected(), WallMs(0))
        self.sent += [i.payload for i in out if isinstance(i, Publish) and i.leaf == "telemetry"]

    def rest(self) -> None:
        self.snapshots.append(self.device.usage.state())

    def kill(self, snapshot: int) -> None:
        """Back from one of its snapshots; from nothing when there is none, which is another life."""
        self.run += 1
        if self.snapshots:
            self.snapshots = self.snapshots[: snapshot % len(self.snapshots) + 1]
            usage = Usage.restore(self.snapshots[-1], self.run * REPORTS)
        elif self.lives < LIVES:
            usage, self.lives = Usage(self.lives), self.lives + 1
        else:
            return
        self.device = Device(self.name, usage=usage)


_steps = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.integers(0, 9)),
        st.tuples(st.just("report")),
        st.tuples(st.just("rest")),
        st.tuples(st.just("kill"), st.integers(0, 3)),
    ),
    max_size=25,
)


@given(st.lists(_steps, min_size=1, max_size=3), st.data())
def test_the_total_is_that_of_the_newest_report_delivered_of_every_life(
    fleet: list[list[tuple[str, int]]], data: st.DataObject
) -> None:
    phones = [Phone(f"u{n}") for n in range(len(fleet))]
    for phone, steps in zip(phones, fleet, strict=True):
        for name, *arguments in steps:
            getattr(phone, name)(*arguments)
    sent = [raw for phone in phones for raw in phone.sent]
    delivered = data.draw(st.lists(st.sampled_from(sent), max_size=2 * len(sent)) if sent else st.just([]))
    reports, newest = FleetReports(Metrics()), dict[tuple[str, int], Training]()
    for raw in delivered:
        report = decode_report(raw)
        assert isinstance(report, Training) and reports.add(report, NOW)
        before = newest.get((report.user_id, report.boot), report)
        newest[report.user_id, report.boot] = max(before, report, key=lambda each: each.sequence)
        assert reports.events == sum(each.events for each in newest.values())


@given(_steps, st.randoms(use_true_random=False))
def test_once_the_newest_report_is_there_the_total_is_what_the_device_itself_says(
    steps: list[tuple[str, int]], chance: object
) -> None:
    phone = Phone("ann")
    phone.rest()  # one life: it never begins anew
    for name, *arguments in steps:
        getattr(phone, name)(*arguments)
    phone.use(1)
    phone.report()
    reports, alone = FleetReports(Metrics()), FleetReports(Metrics())
    last = decode_report(phone.sent[-1])
    assert isinstance(last, Training) and alone.add(last, NOW)
    chance.shuffle(phone.sent)  # type: ignore[attr-defined]
    for raw in [*phone.sent, *phone.sent]:
        report = decode_report(raw)
        assert isinstance(report, Training) and reports.add(report, NOW)
    assert reports.events == phone.device.usage.events
    assert reports.taught(Task(task_version=1)) == alone.taught(Task(task_version=1))


def test_lives_that_ended_stay_in_the_total_and_their_late_reports_change_nothing() -> None:
    newest = Newest(1, Metrics())
    for boot in range(LIVES + 3):
        newest.put("ann", boot, 1, np.array([1.0]))
        newest.put("ann", boot, 2, np.array([10.0]))
    assert newest.total.tolist() == [10 * (LIVES + 3)]
    assert not newest.put("ann", 0, 3, np.array([99.0])), "over for good"
    assert newest.put("ann", 3, 3, np.array([11.0])), "the last but one may still be on its way"
    assert newest.total.tolist() == [10 * (LIVES + 3) + 1]


def test_of_more_devices_than_there_is_room_for_those_heard_of_last_count() -> None:
    metrics = Metrics()
    newest = Newest(1, metrics, most=2)
    for n, device in enumerate(["ann", "bob", "ann", "cid"]):
        newest.put(device, 0, n, np.array([float(10**n)]))
    assert len(newest) == 2 and newest.total.tolist() == [100 + 1000]
    newest.put("bob", 0, 9, np.array([7.0]))  # all it ever did
    assert newest.total.tolist() == [1000 + 7]
    assert metrics.value(Metrics.reporters_forgotten) == 2
