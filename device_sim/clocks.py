"""The clocks of a fleet's devices: how far each is off the fleet's own, and when a tick may change something."""

import math

from wire.moments import WallMs


class Clocks:
    """By user id; all times are the fleet's, but for what a device is told or says.

    `off_ms` is how far clocks are ahead (behind: less than 0), of devices whose clocks are wrong.
    """

    def __init__(self) -> None:
        self.off_ms: dict[str, int] = {}
        self._wakes_ms: dict[str, float] = {}  # of devices for which a tick ever may change something
        self._heard_ms = 0  # the latest time since the last tick

    def hear(self, user_id: str, now_ms: int) -> WallMs:
        """It is `now_ms`: what the device's clock shows."""
        self._heard_ms = max(self._heard_ms, now_ms)
        return WallMs(now_ms + self.off_ms.get(user_id, 0))

    def set(self, user_id: str, off_ms: int) -> bool:
        """The device's clock is so far ahead from now on; whether that is new."""
        if off_ms == self.off_ms.get(user_id, 0):
            return False
        self.off_ms[user_id] = off_ms
        self._wakes_ms[user_id] = 0  # the device says anew when it wakes
        return True

    def wake(self, user_id: str, at_ms: float) -> None:
        """Let a tick come to the device once its clock shows `at_ms`: none, where that is infinite."""
        if at_ms < math.inf:
            self._wakes_ms[user_id] = at_ms - self.off_ms.get(user_id, 0)
        else:
            self._wakes_ms.pop(user_id, None)

    def awake(self, now_ms: int) -> list[str]:
        """Whom a tick may change now: nearly nobody."""
        if now_ms < self._heard_ms:  # the fleet's clock was set back: devices say anew when they wake
            self._wakes_ms = dict.fromkeys(self._wakes_ms, 0)
        self._heard_ms = now_ms
        return [user_id for user_id, wakes_ms in self._wakes_ms.items() if wakes_ms <= now_ms]

    def forget(self, user_id: str) -> None:
        """The device is gone."""
        self.off_ms.pop(user_id, None)
        self._wakes_ms.pop(user_id, None)
