from streams.fleet.trained import Trained
from tests.clock import HandClock


def told(trained: Trained) -> tuple[int, int]:
    return trained.frontier.behind, trained.frontier.until_ms


def test_who_is_left_out_of_a_training_holds_the_frontier_where_it_was() -> None:
    clock = HandClock(1000)
    trained = Trained(clock)
    assert told(trained) == (0, 1000)
    trained.began(waiting=0)
    clock.passes(500)
    assert told(trained) == (1, 0)
    trained.ended()
    assert told(trained) == (0, 1500)
    trained.began(waiting=3)
    clock.passes(500)
    trained.ended()
    assert told(trained) == (3, 1000)
    trained.nobody()
    assert told(trained) == (0, 2000)
