"""Who takes up a task, and what a batch holds."""

import msgspec

from device_sim.arrivals import rolled_out, unpacked
from device_sim.stimulus import TaskArrived
from tests.device_sim.phone import Phone, counted
from tests.device_sim.world import TASK, raw_batch
from wire.batch import decode_packed, encode_batch


def test_a_roll_out_reaches_its_share_and_only_grows_with_it() -> None:
    users = [f"user-{n}" for n in range(2000)]
    staged = {percent: msgspec.structs.replace(TASK, rollout_percent=percent) for percent in (0.0, 10.0, 50.0, 100.0)}
    shares = {percent: {user for user in users if rolled_out(user, task)} for percent, task in staged.items()}
    assert [len(shares[p]) / 2000 for p in (0.0, 100.0)] == [0, 1]
    assert abs(len(shares[10.0]) / 2000 - 0.1) < 0.03
    assert shares[10.0] < shares[50.0]
    other = msgspec.structs.replace(TASK, task_version=2, rollout_percent=10.0)
    assert {user for user in users if rolled_out(user, other)} != shares[10.0]


def test_who_is_not_in_the_roll_out_keeps_the_old_task_until_the_share_grows() -> None:
    phone = Phone()
    staged = msgspec.structs.replace(TASK, task_version=2, rollout_percent=0)
    assert counted(phone.tell(TaskArrived(staged, 1))) == [("tasks", "not_rolled_out")]
    assert phone.device.task == TASK
    everyone = msgspec.structs.replace(staged, rollout_percent=100)
    assert counted(phone.tell(TaskArrived(everyone, 1))) == [("tasks", "adopted")]


def test_a_batch_that_is_asked_for_again_is_the_same_and_another_one_is_not() -> None:
    first, other = (decode_packed(raw_batch("ann", seq)) for seq in (1, 2))
    assert unpacked(first) is unpacked(first)
    assert [encode_batch(unpacked(each)) for each in (first, other, first)] == [
        raw_batch("ann", seq) for seq in (1, 2, 1)
    ]
