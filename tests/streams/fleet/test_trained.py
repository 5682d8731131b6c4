from device_sim.device import Device
from device_sim.usage import Usage
from streams.fleet.trained import FleetTrained, Trained
from tests.clock import HandClock


def told(trained: Trained) -> tuple[int, int]:
    return trained.frontier.behind, trained.frontier.until_ms


def device(predicted: int) -> Device:
    usage = Usage()
    usage.events = predicted
    return Device("ann", usage=usage)


def test_who_is_left_out_of_a_training_holds_the_frontier_where_it_was() -> None:
    clock = HandClock(1000)
    trained = Trained(clock)
    assert told(trained) == (0, 1000)
    trained.began(training=2, waiting=0)
    clock.passes(500)
    assert told(trained) == (2, 0)
    trained.ended()
    assert told(trained) == (0, 1500)
    trained.began(training=2, waiting=3)
    clock.passes(500)
    trained.ended()
    assert told(trained) == (3, 1000)
    trained.nobody()
    assert told(trained) == (0, 2000)
    assert trained.frontier.position == 4


def test_each_group_of_devices_has_a_frontier_of_its_own() -> None:
    clock = HandClock(1000)
    trained = FleetTrained(clock)
    trained.began(training=[device(3), device(500)], waiting=[device(700), device(800)])
    clock.passes(500)
    trained.ended()
    found = {each.stage: (each.position, each.behind, each.until_ms) for each in trained.frontiers}
    assert found == {
        "trained": (2, 2, 0),
        "trained/new": (1, 0, 1500),
        "trained/regular": (0, 0, 1500),
        "trained/heavy": (1, 2, 0),
    }
