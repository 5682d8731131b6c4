import pytest

from streams.tunnel.allowance import MESSAGE_BYTES, MOST_DEVICES, Allowances, Rate
from wire.errors import InputError
from wire.event import UPLOAD_BYTES
from wire.moments import SteadyMs


def passed(buckets: Allowances, messages: int, nbytes: int, every_ms: int = 0, begin_ms: int = 0) -> int:
    return sum(buckets.take("ann", nbytes, SteadyMs(begin_ms + n * every_ms)) for n in range(messages))


def test_a_full_outbox_passes_at_once() -> None:
    assert passed(Allowances(Rate()), 5000, 200) == 5000


def test_in_the_long_run_bytes_are_limited_and_so_is_the_number_of_empty_messages() -> None:
    rate = Rate(kib_per_s=1, burst_kib=513)
    for nbytes in (0, 200, 10_000):
        sent = passed(Allowances(rate), 100_000, nbytes, every_ms=10)
        allowed = (rate.burst_kib + 1000 * rate.kib_per_s) * 1024 / (nbytes + MESSAGE_BYTES)
        assert allowed - 2 <= sent <= allowed


def test_one_device_costs_no_other_anything() -> None:
    buckets = Allowances(Rate(kib_per_s=1, burst_kib=513))
    passed(buckets, 10_000, 1000)
    assert not buckets.take("ann", 1000, SteadyMs(0)) and buckets.take("bob", UPLOAD_BYTES, SteadyMs(0))


def test_buckets_are_bounded() -> None:
    buckets = Allowances(Rate())
    for n in range(MOST_DEVICES + 10):
        buckets.take(f"device-{n}", 1, SteadyMs(n))
    assert len(buckets._buckets) == MOST_DEVICES


@pytest.mark.parametrize("rate", [Rate(0, 4096), Rate(-1, 4096), Rate(64, 512), Rate(64, 0)])
def test_a_rate_that_lets_nothing_pass_is_refused(rate: Rate) -> None:
    with pytest.raises(InputError, match="--device-kib-per-s"):
        rate.checked()
