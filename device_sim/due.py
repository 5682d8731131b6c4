"""Who is due for a training, who of them is next, and who train together.

Whose batch came a moment ago trains in the order in which all asked, so that a crowd of devices that are due at once
waits for no longer than it takes. Where more is asked of a fleet for a while than it can do, all would wait in that
order for as long as the queue is; so whose batch is older gives way until a newer one comes, or nobody else is due.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping

from device_sim.device import Device
from device_sim.instruction import Instruction, Train

# Devices trained at once: a device costs 10.8 ms of a core alone, 4.6 in a group of 16, 3.9 of 32, 3.8 of 64
# (`benchmarks.training`, a service's arms), and what comes meanwhile waits for the whole group.
GROUP = 32
# A batch is pushed within half a second, and the group in training and its own take a tenth each: so whoever waits no
# longer than this is trained 2 s after what happened.
ON_TIME_MS = 1_200


class Due:
    """Devices by user id that want to train."""

    def __init__(self, users: Iterable[str] = ()) -> None:
        self._users = dict.fromkeys(users)

    def __iter__(self) -> Iterator[str]:
        return iter(self._users)

    def __len__(self) -> int:
        return len(self._users)

    def add(self, user_id: str) -> None:
        """The device asks; where it asked before it keeps its place."""
        self._users[user_id] = None

    def discard(self, user_id: str) -> None:
        """The device is gone."""
        self._users.pop(user_id, None)

    def take(
        self,
        devices: Mapping[str, Device],
        give_slot: Callable[[str], list[Instruction]],
        shows: Callable[[str], int],
        limit: int,
        may: Callable[[str], bool],
    ) -> list[tuple[str, Train]]:
        """Up to `limit` of them that are of one cloud model and one task, with what `give_slot` made each ask for;
        each one's clock `shows` what its times are by.

        Who may not train now keeps its place.

        Devices whose user did something since their last training come first: a new cloud model makes every device
        due, and who is using it should not wait for who is not. Of these and of the rest come first those that can be
        trained in time, then those that can't, the newest batch first.
        """
        group: list[tuple[str, Train]] = []
        for user_id in sorted(self._users, key=lambda user_id: _place(devices[user_id], shows(user_id))):
            device = devices[user_id]
            if group and (device.model, device.task) != (group[0][1].model, group[0][1].task):
                continue
            if not may(user_id):
                continue
            del self._users[user_id]
            for instruction in give_slot(user_id):
                assert isinstance(instruction, Train), "a slot is answered with a training or with nothing"
                group.append((user_id, instruction))
            if len(group) == limit:
                break
        return group


def _place(device: Device, now_ms: int) -> tuple[bool, bool, int]:
    late = device.batch is not None and now_ms - device.batch_since_ms > ON_TIME_MS
    return device.new_samples == 0, late, -device.batch_since_ms if late else 0
