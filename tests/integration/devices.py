"""Devices that publish numbered messages over a fleet's link until told to stop: `python -m tests.integration.devices`.

Runs in another process than its test, whose network may be another one, too. Whenever something came there is a line of
JSON: how many devices are connected, and the oldest of their newest batches, which are numbers here. The last line says
how many messages each device published.
"""

import asyncio
import json
import sys

import structlog

from device_sim import mqtt_connection
from device_sim.mqtt_link import MqttLink
from monitor.metrics import Metrics
from wire.claim import Claim

EVERY_S = 0.2
KEEPALIVE_S = 3  # a half-open connection is noticed within twice this


def say(**figures: int) -> None:
    """A line of JSON."""
    sys.stdout.write(json.dumps(figures) + "\n")
    sys.stdout.flush()


async def publish_until_told(host: str, port: int, users: list[str]) -> None:
    """Publish, whether connected or not; ends when standard input does."""
    link = MqttLink(host, port, 1, Claim("devices", "b", 1), metrics=Metrics())
    told = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    for user_id in users:
        link.open(user_id)
    connected: set[str] = set()
    newest = dict.fromkeys(users, 0)
    published = 0
    while not told.done():
        for user_id in users:
            link.publish(user_id, "events", str(published).encode())
        published += 1
        await link.wait(EVERY_S)
        for arrival in link.take():
            if arrival.kind == "candidates":
                newest[arrival.user_id] = int(arrival.payload)
            elif arrival.kind in {"up", "down"}:
                (connected.add if arrival.kind == "up" else connected.discard)(arrival.user_id)
            say(connected=len(connected), newest=min(newest.values()))
        await asyncio.sleep(EVERY_S)
    await link.close()
    say(published=published)


if __name__ == "__main__":
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    mqtt_connection.KEEPALIVE_S = KEEPALIVE_S
    asyncio.run(publish_until_told(sys.argv[1], int(sys.argv[2]), sys.argv[3:]))
