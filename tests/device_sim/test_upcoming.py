"""When devices ask for a batch by the model that they will use next."""

from collections import Counter

from device_sim.upcoming import LONGEST_MS, asks_after_ms


def test_devices_ask_one_after_the_other_those_in_use_first() -> None:
    in_use, idle = ([asks_after_ms(f"user-{n}", used) for n in range(500)] for used in (True, False))
    assert max(in_use) <= min(idle) and max(idle) < LONGEST_MS
    for times in (in_use, idle):
        each_second = Counter(ms // 1000 for ms in times)
        assert max(each_second.values()) < 2 * min(each_second.values())
