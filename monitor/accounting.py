"""Does everything add up? Every event is pooled, waits for its item to be taken, or is rejected with a reason, every
push has an outcome."""

import msgspec

from monitor.state import State

# What the replay calls a row that is no event: it was never produced, so it is beside the sum.
MALFORMED_ROW = "malformed row"


class Accounting(msgspec.Struct, frozen=True, kw_only=True):
    """What went in and where it went; `rejected` by reason, `push_outcomes` by outcome.

    `malformed_rows` of the log are in the dead letters, but were never events.
    """

    malformed_rows: int = 0
    produced: int
    pooled: int
    waiting: int = 0
    rejected: dict[str, int]
    pushes: int
    push_outcomes: dict[str, int]

    def discrepancies(self) -> list[str]:
        """One line for each sum that does not add up; empty when all do.

        >>> Accounting(produced=3, pooled=2, rejected={"late": 1}, pushes=0, push_outcomes={}).discrepancies()
        []
        """
        found = []
        if missing := self.produced - self.pooled - self.waiting - sum(self.rejected.values()):
            found.append(
                f"events: {self.produced} produced, but {self.pooled} pooled + {self.waiting} waiting + "
                f"{_sum(self.rejected)} rejected ({_what(missing)})"
            )
        if missing := self.pushes - sum(self.push_outcomes.values()):
            found.append(f"pushes: {self.pushes} pushed, but outcomes {_sum(self.push_outcomes)} ({_what(missing)})")
        return found


def accounting(state: State) -> Accounting:
    """The accounts at `state`."""
    return Accounting(
        produced=state.produced,
        pooled=state.pooled,
        waiting=state.waiting,
        rejected={reason: count for reason, count in state.rejected.items() if reason != MALFORMED_ROW},
        malformed_rows=state.rejected.get(MALFORMED_ROW, 0),
        pushes=state.pushes,
        push_outcomes=state.push_outcomes,
    )


def _sum(parts: dict[str, int]) -> str:
    listed = ", ".join(f"{name} {count}" for name, count in parts.items() if count)
    return f"{sum(parts.values())} ({listed})" if listed else "0"


def _what(missing: int) -> str:
    return f"{missing} unaccounted for" if missing > 0 else f"{-missing} counted too often"
