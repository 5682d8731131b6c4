"""The picture as plain text, for a script, a log or a terminal that can do nothing else."""

from collections.abc import Sequence

from streams.times import span
from streams.watch.picture import Picture, ProcessView, StageView


def as_text(picture: Picture) -> str:
    """Stages and processes as two tables, and the likely cause where something is wrong."""
    stages: list[Sequence[str]] = [("stage", "word", "per s", "behind", "own lag", "lag", "p50", "p99", "rule")]
    stages += [_stage(stage) for stage in picture.stages]
    processes: list[Sequence[str]] = [("process", "is", "up for", "cores", "says")]
    processes += [_process(process, picture.at_ms) for process in picture.processes]
    lines = [*_aligned(stages), "", *_aligned(processes)]
    return "\n".join([*lines, "", f"likely cause: {picture.cause}"] if picture.cause else lines)


def state_of(process: ProcessView) -> str:
    """What a process is, as far as can be told."""
    if process.ended:
        return "ended"
    return f"silent since {span(process.silent_s)}" if process.silent_s else "up"


def _stage(stage: StageView) -> Sequence[str]:
    left = f" (all done in {span(stage.left_s)})" if stage.left_s is not None else ""
    ages = (span(stage.ages.p50_s), span(stage.ages.p99_s)) if stage.ages else ("–", "–")
    return (
        stage.stage,
        stage.word,
        f"{stage.per_s:,.1f}",
        f"{stage.behind:,}",
        span(stage.local_s),
        span(stage.global_s),
        *ages,
        stage.rule + left,
    )


def _process(process: ProcessView, now_ms: int) -> Sequence[str]:
    cores = "–" if process.cores is None else f"{process.cores:.2f}"
    warning = process.warnings[-1] if process.warnings else ""
    return process.key, state_of(process), span((now_ms - process.since_ms) / 1000), cores, warning


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
