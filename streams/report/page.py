"""The report of any run, from its folder."""

from pathlib import Path

from monitor.report import report
from streams.base.choice import MEANING
from streams.dashboard.frozen import frozen_page
from streams.evaluation.arms import arms_over_time
from streams.evaluation.lineup import BASES
from streams.faults.page import outage_section
from streams.faults.timeline import Course
from streams.logs.check import USERS_NEEDED
from streams.logs.page import log_section
from streams.report.folder import Run, read_run
from wire.durable import write_durably

FILE = "report.html"


def write_report(folder: Path, undisturbed: Path | None = None) -> Path:
    """Make the report of the run in `folder`, beside the one in `undisturbed`; returns where it is.

    Raises `InputError` for a folder without a run, `StorageError`.
    """
    page = run_page(read_run(folder), read_run(undisturbed) if undisturbed is not None else None)
    write_durably(folder / FILE, page.encode())
    return folder / FILE


def run_page(run: Run, undisturbed: Run | None = None) -> str:
    """The page of one run."""
    result = run.result
    enough = result is None or result.log.users_with_both >= USERS_NEEDED  # of fewer, figures only look like a result
    return report(
        title=f"CoDA streaming: {run.name}",
        states=run.states,
        accounts=run.accounts,
        problems=run.problems,
        freshness=run.freshness,
        arms=run.arms if enough else {},
        arms_over_time=arms_over_time(run.predictions) if enough else None,
        configuration=run.configuration,
        frozen=frozen_page(run.playback) if run.playback else "",
        cloud=BASES[result.base] if result else run.states[-1].cloud,
        meaning=MEANING[result.base] if result else "what devices add to: an event's base, or the cloud model",
        sections=[*_outage(run, undisturbed), *([log_section(result.log)] if result else [])],
    )


def _outage(run: Run, undisturbed: Run | None) -> list[str]:
    """The section on what was broken."""
    course = _course(run)
    if course is None or not course.verdict.faults:
        return []
    return [outage_section(course, _course(undisturbed) if undisturbed else None)]


def _course(run: Run) -> Course | None:
    """How it went, if it was judged."""
    verdict = run.result.verdict if run.result else None
    return Course(run.states, verdict) if verdict is not None else None
