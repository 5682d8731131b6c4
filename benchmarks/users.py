"""The users of a shard on disk: what it costs to save those who did something, and to begin again with all.

    python -m benchmarks.users                       200,000 users of 20 events each
    python -m benchmarks.users --users 1000000

A new process begins again, as after a restart; CPU is of all its threads.
"""

import argparse
import json
import multiprocessing
import tempfile
import time
from pathlib import Path

from benchmarks.devices import memory_mb
from models.quorum import Quorum
from monitor.metrics import Metrics
from operators.decode import Arrival
from operators.renewals import Renewals
from operators.residents import Meter, Residents, Stay
from operators.shard_users import ShardUsers
from operators.user import MatchRules, UserState
from streams.flow.state_shards import StateShards
from wire.clock import SystemClock
from wire.event import Event
from wire.identity import NO_MODEL
from wire.moments import WallMs

EVENTS = 20
KINDS = 100  # of users: more than lie in one block of RocksDB's, which compresses what is alike
AT_ONCE = 10_000  # users that are saved at a time while there are none yet
SAVED = (500, 20_000)


def arrival(number: int, user: int) -> Arrival:
    """The event of that number, of a user; items differ."""
    item = number * 7919 % 5000
    event = Event(f"e{number}", f"user-{user}", f"i{item}", f"c{item % 50}", "click", 1 if number % 2 else 0, number)
    return Arrival.of(event, WallMs(number))


def fill(folder: Path, users: int) -> int:
    """Save so many users, of whom each hundredth had the same events; which checkpoint that is."""
    states = [UserState("") for _ in range(KINDS)]
    for first, state in enumerate(states):
        state.handle([arrival(EVENTS * first + number, 0) for number in range(EVENTS)], MatchRules(), WallMs(0))
    with StateShards(folder, 1) as shards:
        store = shards.of(0).users
        list(store.resume(None))
        for first in range(0, users, AT_ONCE):
            changes: dict[str, bytes | None] = {}
            for user in range(first, min(users, first + AT_ONCE)):
                one = states[user % KINDS]
                one.user_id = f"user-{user}"
                changes[one.user_id] = one.snapshot()
            store.save(changes, first + len(changes))
        return store.checkpoint


def begin_again(folder: Path, checkpoint: int, users: int) -> dict[str, float]:
    """What a new process takes for that, and for saving some of them."""
    before_mb, cpu_s, wall_s, metrics, clock = (
        memory_mb(),
        time.process_time(),
        time.monotonic(),
        Metrics(),
        SystemClock(),
    )
    with StateShards(folder, 1) as shards:
        found = ShardUsers(
            shards.of(0).users,
            checkpoint,
            MatchRules(),
            clock=clock,
            stream=Quorum(),
            residents=Residents(Stay(), Meter.of_users(metrics, metrics.users.set)),
            renewals=Renewals(lambda: NO_MODEL, clock),
        )
        figures = {
            "users": len(found),
            "begin_cpu_s": time.process_time() - cpu_s,
            "begin_wall_s": time.monotonic() - wall_s,
            "begin_mb": memory_mb() - before_mb,
        }
        for n in SAVED:
            found.handle(arrival(KINDS * EVENTS + n + at, at % users) for at in range(n))
            cpu_s, wall_s = time.process_time(), time.monotonic()
            found.sync()
            figures |= {
                f"save_{n}_cpu_ms": 1000 * (time.process_time() - cpu_s),
                f"save_{n}_wall_ms": 1000 * (time.monotonic() - wall_s),
            }
    return figures


def measure(users: int) -> dict[str, float]:
    """Everything, with so many users."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        checkpoint = fill(folder, users)
        disk_mb = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()) / 1e6
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return {"disk_mb": disk_mb, **pool.apply(begin_again, (folder, checkpoint, users))}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=200_000)
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    found = measure(options.users)
    print(f"{options.users:,} users, {found['disk_mb']:.0f} MB on disk")
    cpu_s, wall_s, memory = (found[f"begin_{what}"] for what in ("cpu_s", "wall_s", "mb"))
    print(f"begin again: {cpu_s:.1f} s of a core, {wall_s:.1f} s, {memory:.0f} MB of memory")
    for n in SAVED:
        print(f"save {n:,}: {found[f'save_{n}_cpu_ms']:.0f} ms of a core, {found[f'save_{n}_wall_ms']:.0f} ms")
    if options.json:
        options.json.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
