"""`coda combine`: several evaluations of one log as one."""

from pathlib import Path

import msgspec
import polars as pl
from polars.exceptions import PolarsError

from streams.commands.evaluate import PREDICTIONS, RESULT, arm_lines, pair_lines
from streams.evaluation.combined import Combined, Run, combined
from streams.evaluation.verdict import verdict_of
from streams.logs.check import USERS_NEEDED
from wire.errors import InputError


def command(*runs: Path, json: bool = False) -> None:
    """Several evaluations of one log, with other seeds, as one: every user of every run counts.

    Seeds choose devices, draw negatives and start the first cloud model. Where a log has fewer users than devices,
    all seeds have the same users, and intervals come out too narrow.

    Example

    ```
    coda combine runs/seed-0 runs/seed-1 runs/seed-2
    ```

    Args:
        runs: Run folders of `coda evaluate`, of the same log and settings.
        json: Print one JSON document on standard output instead of lines.
    """
    if not runs:
        raise InputError("give the run folders of at least one `coda evaluate`")
    result = combined([read_run(folder) for folder in runs])
    if json:
        print(msgspec.json.encode(result).decode())
        return
    for line in lines(result):
        print(line)


class _Document(msgspec.Struct, frozen=True):
    """What has to be known of a run beside its predictions."""

    log: str
    seed: int
    settings: dict[str, str | int | float]


def read_run(folder: Path) -> Run:
    """What `coda evaluate` left in `folder`; raises `InputError`."""
    if not (folder / RESULT).is_file():
        raise InputError(f"{folder} is no run of `coda evaluate`: it has no {RESULT}")
    try:
        document = msgspec.json.decode((folder / RESULT).read_bytes(), type=_Document)
        predictions = pl.read_parquet(folder / PREDICTIONS)
    except (OSError, msgspec.DecodeError, PolarsError) as error:
        raise InputError(f"{folder} is no run of `coda evaluate` ({str(error).splitlines()[0]})") from error
    if "repeat" not in predictions.columns:
        raise InputError(f"{folder} is a run of an older `coda evaluate`, without repeats: evaluate once more")
    return Run(document.log, document.seed, document.settings, predictions)


def lines(result: Combined) -> list[str]:
    """What a person should know."""
    of = f"{result.predicted:,} events predicted on {result.devices:,} devices"
    title = f"{result.log}, seeds {', '.join(map(str, result.seeds))}: {of}"
    verdict = verdict_of(result.arms, result.paired, result.users).lines
    if result.users < USERS_NEEDED:
        return [*verdict, title]
    text = [*verdict, "", title, *arm_lines(result.arms), "", "all events:", *pair_lines(result.paired)]
    for name, part in result.parts().items():
        of = f"{part.events:,} events, {part.positives:,} of them positive"
        text += ["", f"{name} ({of}):", *pair_lines(part.paired)] if part.events else []
    return text
