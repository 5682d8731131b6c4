"""What a connection of a simulation carries while the network is broken one way."""

from streams.simulation.dice import Die
from streams.simulation.journal import Journal
from streams.simulation.network import SILENCE_MS, Network, Way, Weather, Wire
from streams.simulation.timeline import Timeline


def a_wire() -> tuple[Network, Wire, list[str]]:
    """A network, one connection, and what came over it."""
    timeline, came = Timeline(), list[str]()
    network = Network(timeline, Die(1, "network", timeline, Journal()), Weather(delay_ms=5))
    return network, network.connect("ann", lambda: came.append("client lost it"), lambda: None), came


def send(wire: Wire, came: list[str]) -> None:
    wire.send(up=True, arrive=lambda: came.append("published"))
    wire.send(up=False, arrive=lambda: came.append("confirmed"))


def test_what_is_held_one_way_comes_when_it_is_released_and_the_rest_at_once() -> None:
    network, wire, came = a_wire()
    network.hold("ann", Way.DOWN)
    send(wire, came)
    network.timeline.run(1_000)
    assert came == ["published"]
    network.release("ann", Way.DOWN)
    assert came == ["published", "confirmed"]


def test_what_two_partitions_hold_stays_in_order() -> None:
    network, wire, came = a_wire()
    network.hold("ann", Way.UP)
    send(wire, came)
    network.timeline.run(1_000)
    network.hold("ann", Way.DOWN)
    send(wire, came)
    network.timeline.run(2_000)
    assert came == ["confirmed"]
    network.release("ann", Way.UP)
    assert came == ["confirmed", "published", "published"]
    network.release("ann", Way.DOWN)
    assert came == ["confirmed", "published", "published", "confirmed"]


def test_a_connection_that_is_half_open_one_way_never_confirms_and_is_found_out() -> None:
    network, wire, came = a_wire()
    wire.fall_silent(Way.DOWN)
    send(wire, came)
    network.timeline.run(SILENCE_MS + 1_000)
    assert came == ["published", "client lost it"]
