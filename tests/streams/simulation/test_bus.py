"""A consumer of the simulated Kafka reads everything once, however few messages it takes at a time."""

from streams.bus import Message
from streams.simulation.bus import SimulatedBus
from streams.simulation.dice import Dice
from streams.simulation.journal import Journal
from streams.simulation.kafka import SimulatedKafka
from streams.simulation.timeline import Timeline, VirtualClock


def test_a_partition_for_which_a_poll_has_no_room_left_is_read_by_the_next_one() -> None:
    timeline, journal = Timeline(), Journal()
    kafka = SimulatedKafka(timeline, Dice(1, timeline, journal).die("kafka"), journal)
    kafka.create(["events"])
    for number in range(10):
        kafka.append(Message("events", number % 2, -1, b"", b"%d" % number, 0, {}))
    bus = SimulatedBus(kafka, VirtualClock(timeline))
    consumer = bus.consumer("reader", assign={("events", 0): 0, ("events", 1): 0})
    polls = [[int(message.value) for message in consumer.poll(3)] for _ in range(4)]
    assert polls == [[0, 2, 4], [6, 8, 1], [3, 5, 7], [9]]
    assert all(consumer.at_end(("events", number)) for number in range(2))
