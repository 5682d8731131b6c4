"""`coda dashboard` as after a quarter of an hour, when it has all the frames that it ever keeps.

python -m benchmarks.long_dashboard --bootstrap HOST:PORT
"""

import sys

import streams.commands.dashboard
from streams.cli import run
from streams.dashboard.frames import KEPT
from streams.dashboard.service import DashboardService


class Long(DashboardService):
    """Looks as often as it takes at its beginning."""

    def look(self) -> None:
        """Take in what has come."""
        for _ in range(KEPT if self.newest() is None else 1):
            super().look()


if __name__ == "__main__":
    setattr(streams.commands.dashboard, "DashboardService", Long)  # noqa: B010 - mypy would take it for a mistake
    sys.exit(run(["dashboard", *sys.argv[1:]]))
