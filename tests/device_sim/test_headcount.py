"""Who is counted as what."""

import msgspec

from device_sim.headcount import Headcount
from device_sim.stimulus import Connected, TaskArrived
from models.gain import WORTH
from monitor.metrics import Metrics
from tests.device_sim.phone import Phone
from tests.device_sim.world import TASK


def test_each_device_is_counted_as_what_it_does_with_its_heads() -> None:
    poor, proven = (
        msgspec.structs.replace(TASK, task_version=9, gain=gain, proven=gain) for gain in (WORTH / 2, 2 * WORTH)
    )
    aside, uses, young = Phone(), Phone(), Phone(task=None)
    for phone, task in ((aside, poor), (uses, proven)):
        phone.tell(Connected())
        phone.tell(TaskArrived(task, 100))
        phone.live(25)
    phones = (aside, uses, Phone(), young)
    counted = Headcount.of(phone.device for phone in phones)
    assert (counted.aside, counted.unproven) == (1, 2), "nobody knows yet what the heads of the last two are worth"
    counted.show(metrics := Metrics())
    said = metrics.values()
    assert said["coda_devices_aside"] == {"": 1} and said["coda_devices_unproven"] == {"": 2}
    assert said["coda_devices"]["devices=regular"] == said["coda_group_devices_connected"]["devices=regular"] == 2
    assert said["coda_devices"]["devices=new"] == 2
