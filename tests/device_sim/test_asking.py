from itertools import pairwise

from device_sim.asking import FIRST_WAIT_MS, LONGEST_WAIT_MS, Asking


def test_without_a_reason_nothing_is_asked() -> None:
    assert Asking().take(10**9) == ""


def test_asks_ever_more_seldom_until_answered() -> None:
    asking = Asking()
    asking.want("wrong_model")
    asked = [now for now in range(0, 400_000, 1000) if asking.take(now)]
    gaps = [later - earlier for earlier, later in pairwise(asked)]
    assert gaps[:2] == [2 * FIRST_WAIT_MS, 4 * FIRST_WAIT_MS]
    assert gaps == sorted(gaps)
    assert max(gaps) == LONGEST_WAIT_MS
    asking.answered(10**9)
    assert asking.take(10**9 + LONGEST_WAIT_MS) == ""
    asking.want("expired")
    assert asking.take(10**9 + FIRST_WAIT_MS) == "expired"
    assert asking.take(10**9 + 3 * FIRST_WAIT_MS) == "expired"


def test_waits_for_what_may_be_on_its_way() -> None:
    asking = Asking()
    asking.want("connected")
    asking.want("expired")
    asking.hold(1000)
    assert asking.take(1000 + FIRST_WAIT_MS - 1) == ""
    assert asking.take(1000 + FIRST_WAIT_MS) == "connected"
