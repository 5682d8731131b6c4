"""When lost connections are another fleet's doing."""

from device_sim.quarrel import MOST, STANDING_TIMES, TIMES, WINDOW_S, Quarrel

START_S = 1000.0


def lost(quarrel: Quarrel, users: list[str], devices: int, began_s: float, step_s: float = 0.01) -> int:
    """After how many lost connections it is a quarrel; 0 for never."""
    verdicts = (quarrel.lost(user, began_s + n * step_s, devices) for n, user in enumerate(users, 1))
    return next((n for n, verdict in enumerate(verdicts, 1) if verdict), 0)


def test_a_fifth_of_the_devices_three_times_each_is_a_quarrel() -> None:
    users = [f"u{n % 4}" for n in range(1000)]
    assert lost(Quarrel(START_S), users, devices=20, began_s=START_S + 1) == 4 * TIMES


def test_one_client_with_a_devices_id_is_none_in_a_fleet_of_many() -> None:
    assert lost(Quarrel(START_S), ["ann"] * 1000, devices=10, began_s=START_S + 1) == 0
    assert lost(Quarrel(START_S), ["ann"] * 1000, devices=1, began_s=START_S + 1) == TIMES


def test_it_takes_more_for_a_fleet_that_was_there_before() -> None:
    assert lost(Quarrel(START_S), ["ann"] * 1000, devices=1, began_s=START_S + 2 * WINDOW_S) == STANDING_TIMES


def test_of_thousands_that_reconnect_slowly_each_counts_that_loses_again() -> None:
    users = [f"u{n}" for n in range(1000)]
    again = MOST * (TIMES - 1)
    assert lost(Quarrel(START_S), users * 2, devices=10_000, began_s=START_S + 1) == len(users) + again


def test_a_network_that_breaks_while_all_devices_connect_is_no_other_fleet() -> None:
    users = [f"u{n}" for n in range(1000)]
    assert lost(Quarrel(START_S), users, devices=1000, began_s=START_S + 1, step_s=0.0) == 0


def test_now_and_then_is_no_quarrel_and_neither_is_a_broker_that_goes_away() -> None:
    assert lost(Quarrel(START_S), ["ann"] * 1000, devices=1, began_s=START_S + 1, step_s=0.7 * WINDOW_S) == 0
    quarrel = Quarrel(START_S)
    for n in range(1000):
        quarrel.over()
        assert not quarrel.lost("ann", START_S + 1 + n * 0.01, 1)
