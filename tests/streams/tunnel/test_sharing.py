"""Several tunnels on the same brokers: they share the load, join, leave and die."""

import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from device_sim import topics
from streams.kafka.bus import KafkaBus
from streams.kafka.topics import CANDIDATES
from streams.tunnel.accounting import account_for_pushes
from streams.tunnel.tunnel import Tunnel
from tests.integration.stack import Command
from tests.streams.mqtt.brokers import KINDS
from tests.streams.tunnel.world import REAL, World, batch, now_ms, wait_for
from wire.event import Event, encode_event

ON_REAL_KAFKA = pytest.param(REAL, marks=pytest.mark.servers, id=REAL)


@pytest.mark.parametrize("world", [*KINDS, ON_REAL_KAFKA], indirect=True)
def test_two_tunnels_share_the_load_and_their_accounts_add_up(world: World) -> None:
    before = account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms())
    users = [f"user{n}" for n in range(40)]
    devices = [world.device(user) for user in users]
    tunnels: list[Tunnel] = []

    def total(what: str) -> int:
        return sum(tunnel.summary()[what] for tunnel in tunnels)

    def push(seq: int) -> None:
        for user in users:
            world.send(CANDIDATES, user, batch(user, seq))

    def everyone_has(seq: int) -> bool:
        for device in devices:
            device.answer()
        return all(seq in device.batches()[-1:] for device in devices)

    with ExitStack() as stack:
        tunnels.append(stack.enter_context(world.tunnel(name="one")))
        push(1)
        wait_for(lambda: everyone_has(1), "the first batches")
        second = ExitStack()
        tunnels.append(second.enter_context(world.tunnel(name="two")))
        for seq in range(2, 12):  # pushed while the group shares the partitions out anew
            push(seq)
            time.sleep(0.3)
        wait_for(lambda: everyone_has(11), "the newest batches")
        assert tunnels[1].summary()["pushes"] > 0
        second.close()  # leaves; the first one takes over again
        push(12)
        # Some may come twice after the change of owner, and want a second answer.
        wait_for(lambda: everyone_has(12) and world.lag() == 0 and total("outstanding") == 0, "all answers")
        for device in devices:
            event = Event(f"of {device.user_id}", device.user_id, "i", "c", "click", 1, 1)
            device.publish(topics.events(device.user_id), encode_event(event))
        wait_for(lambda: all(device.receipts() for device in devices), "a receipt for each")
    assert total("pushes") == total("acknowledged") + total("superseded") + total("expired")
    tally = account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms())
    assert (tally.pushes - before.pushes, tally.balanced, tally.outstanding) == (12 * 40, True, 0)


@pytest.mark.parametrize("world", [ON_REAL_KAFKA], indirect=True)
def test_of_two_tunnels_one_is_killed_and_another_joins(world: World, tmp_path: Path) -> None:
    """`kill -9`: Kafka misses the dead member only after its session has timed out."""
    before = account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms())
    users = [f"kill{n}" for n in range(20)]
    devices = [world.device(user) for user in users]
    addresses = ("--bootstrap", world.kafka.bootstrap, "--mqtt", world.broker.settings.address)
    one, two, three = (
        Command(tmp_path, name, "tunnel", *addresses, "--name", name) for name in ("one", "two", "three")
    )
    seq = 0

    def push_for(seconds: float) -> None:
        nonlocal seq
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            seq += 1
            for user in users:
                world.send(CANDIDATES, user, batch(user, seq))
            for device in devices:
                device.answer()
            time.sleep(0.2)

    def everyone_has_the_newest() -> bool:
        for device in devices:
            device.answer()
        return all(seq in device.batches()[-1:] for device in devices)

    try:
        one.start()
        two.start()
        push_for(1)
        wait_for(everyone_has_the_newest, "the first batches", 40)
        push_for(3)
        one.kill()
        push_for(1)
        three.start()
        push_for(3)
        wait_for(everyone_has_the_newest, "the newest batches", 60)
        wait_for(lambda: world.lag() == 0, "the committed offsets", 40)
        codes = [command.stop() for command in (two, three)]
    finally:
        for command in (one, two, three):
            if command.alive:
                command.kill()
    assert codes == [130, 130], two.said() + three.said()
    tally = account_for_pushes(KafkaBus(world.kafka), 600_000, now_ms())
    assert (tally.pushes - before.pushes, tally.balanced, tally.outstanding) == (seq * len(users), True, 0)
