"""The job of `benchmarks.alternatives` that Quix Streams can do: decode, dedupe, and a history of each user as state.

python -m benchmarks.quix_job BOOTSTRAP DISTINCT_EVENTS

Runs where Quix Streams is installed and none of our packages. State is where Quix keeps it, in RocksDB, without a
changelog topic. One line of JSON comes out; CPU is from the first event to the last.
"""

import json
import sys
import tempfile
import time
from typing import Any

from quixstreams import Application, State

from benchmarks.own_process import Growth

HISTORY_LEN = 30  # positives that a user's state holds, as in `wire.sample`
PATIENCE_S = 60


class Users:
    """The per-user step, and what it has taken so far."""

    def __init__(self) -> None:
        self.events = self.distinct = 0
        self.began_s = self.ended_s = 0.0
        self.growth = Growth()

    def is_new(self, event: dict[str, Any], state: State) -> bool:
        """Whether this user's event has not come before; then it joins the history."""
        self.events += 1
        self.ended_s = time.process_time()
        self.began_s = self.began_s or self.ended_s
        if state.exists(event["event_id"]):
            return False
        state.set(event["event_id"], 1)
        if event["label"]:
            state.set("history", [event["item_id"], *state.get("history", [])][:HISTORY_LEN])
        self.distinct += 1
        return True


def main(bootstrap: str, distinct: int) -> None:
    """Run until all have come, and say what it took."""
    users = Users()
    with tempfile.TemporaryDirectory() as folder:
        application = Application(
            broker_address=bootstrap,
            consumer_group="quix",
            auto_offset_reset="earliest",
            auto_create_topics=False,
            use_changelog_topics=False,
            state_dir=folder,
            loglevel="WARNING",
        )
        stream = application.dataframe(application.topic("events", value_deserializer="json"))
        stream.filter(users.is_new, stateful=True)
        application.run(count=distinct, timeout=PATIENCE_S)
    figures = {
        "cpu_s": users.ended_s - users.began_s,
        "memory_bytes": users.growth.most_bytes,
        "events": users.events,
        "distinct": users.distinct,
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
