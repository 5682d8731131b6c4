"""A small soak in CI: the same parts and the same bounds as the hour that docs/benchmarks.md shows."""

from benchmarks.soak import Churn, Look, growth, soak


def test_a_few_minutes_of_churn_reach_every_bound_and_pass_none() -> None:
    churn = Churn(users=2000, items=3000, minutes=3, events_per_s=50)
    said: list[str] = []
    looks = soak(churn, said.append)
    assert len(looks) == 36 and said
    assert max(look.users for look in looks) == churn.users // 5
    assert max(look.pooled for look in looks) == 50 * 3 * 10
    assert 0 < max(look.items_known for look in looks) <= churn.items // 8
    assert 0 < max(look.devices for look in looks) <= churn.users // 10 // 40
    assert looks[-1].pushes_open < 50 * 3 * 60 / 4, "unanswered pushes expire"


def test_growth_is_the_slope_of_the_second_half() -> None:
    def look(mb: float) -> Look:
        return Look(0, mb, 0, 0, 0, 0, 0, 0, 0)

    flat = [look(100 + n % 2) for n in range(100)]
    assert abs(growth(flat)) < 0.01
    assert growth([look(n) for n in range(100)]) > 0.5
    assert abs(growth([look(min(n, 50)) for n in range(100)])) < 0.01, "what is filled at first is no growth"
