"""What came of a run of the demo, as its folder keeps it in `result.json`."""

import msgspec

from monitor.accounting import Accounting
from monitor.arms import ArmResult
from monitor.state import Freshness, State
from streams.faults.verdict import Verdict
from streams.logs.check import LogCheck


class DemoResult(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a run; `ok` when there are no `problems`. `freshness` is of the live part, and `base` what devices
    added to (`streams.base.names`): the first of `arms`."""

    ok: bool
    problems: list[str]
    elapsed_s: float
    accounting: Accounting
    freshness: dict[str, Freshness]
    base: str
    arms: dict[str, ArmResult]
    log: LogCheck
    exit_codes: dict[str, int | None]
    last_state: State
    verdict: Verdict | None = None
