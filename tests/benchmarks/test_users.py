from benchmarks.users import SAVED, measure


def test_all_users_are_there_again_and_what_it_costs_is_told() -> None:
    found = measure(30_000)
    assert found["users"] == 30_000 and found["disk_mb"] > 30_000 * 200 / 1e6
    assert {f"save_{n}_cpu_ms" for n in SAVED} < set(found)
