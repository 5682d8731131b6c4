"""Everyone of a population by four axes: available, connected, finishing what they begin, answering soon (sans-I/O).

The same seed makes the same people; nothing is remembered, so any moment may be asked about. Time is in seconds since
the population began: `day_s` of them are one of its days.
"""

from dataclasses import dataclass

from streams.faults.whose import Devices
from streams.population.axis import DAY_S, Axis, Constant
from streams.population.draws import uniform

EVERYONE = Devices()
_ALWAYS = Constant("always", 0, 1.0)


@dataclass(frozen=True, slots=True)
class Population:
    """`starts_s` is the time of day at which it begins, `slowest_s` how long a device takes to answer at worst.

    `clock_s` is how far clocks are off. Devices that are none of the `members` are always there, and right.
    """

    seed: int = 0
    availability: Axis = _ALWAYS
    connectivity: Axis = _ALWAYS
    completeness: Axis = _ALWAYS
    responsiveness: Axis = _ALWAYS
    slowest_s: float = 0.0
    clock_s: float = 0.0
    day_s: float = DAY_S
    starts_s: float = 0.0
    members: Devices = EVERYONE

    def available(self, device: str, at_s: float) -> bool:
        """Whether the device may work: its app runs, and it is allowed to train."""
        return device not in self.members or self.availability.on(device, self._time(at_s))

    def connected(self, device: str, at_s: float) -> bool:
        """Whether it has a link: only who is available uses one."""
        return device not in self.members or (
            self.availability.on(device, self._time(at_s)) and self.connectivity.on(device, self._time(at_s))
        )

    def finishes(self, device: str, at_s: float) -> bool:
        """Whether work that the device does now will be done in the end."""
        if device not in self.members:
            return True
        drawn = uniform(self.seed, "finishes", device, round(1000 * at_s))
        return drawn < self.completeness.level(device, self._time(at_s))

    def delay_s(self, device: str, at_s: float) -> float:
        """How much longer the device takes for what it is asked now."""
        if device not in self.members:
            return 0.0
        return self.slowest_s * (1 - self.responsiveness.level(device, self._time(at_s)))

    def clock_off_s(self, device: str) -> float:
        """How far the device's clock is off: ahead on one half of the devices, behind on the other."""
        if device not in self.members:
            return 0.0
        return self.clock_s * (1 if uniform(self.seed, "clock", device) < 0.5 else -1)

    def _time(self, at_s: float) -> float:
        """The same moment by the population's own days."""
        return self.starts_s + at_s * DAY_S / self.day_s
