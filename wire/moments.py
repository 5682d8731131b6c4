"""The three kinds of time, as types that mypy keeps apart: a number of one kind can't be given for another.

Event time is what a log or a device says of when something happened. It may be years ago, and may be wrong, so how far
it has come is for many to say (`models.quorum`). Wall time is what a machine's clock shows; it may be set, step back
or stand still, so whoever has to wait measures how long by a steady clock, which only its own process understands.
Event time and wall time meet in one place alone: nothing can have happened after it was told of (`operators.decode`).
"""

from typing import NewType

EventMs = NewType("EventMs", int)  # Unix ms
WallMs = NewType("WallMs", int)  # Unix ms
SteadyMs = NewType("SteadyMs", int)  # ms since some moment of this process

# Nothing happens after it was told of, but clocks differ: by seconds where they are set, by minutes where nobody does.
SKEW_MS = 300_000
NO_EVENT = EventMs(-1)  # before all event time: nothing has happened yet
