"""What freshness is worth on a log: what each arm gains, by how long what happens takes to be learned from.

    python -m benchmarks.delay                                          ml-100k; table and plot
    python -m benchmarks.delay LOG --negatives 2 --out runs/my-delays   other flags go to `coda evaluate`

Every delay is an evaluation in a folder of its own under `--out`; those that are there already are not run again.
"""

import argparse
import json
import subprocess
import sys
from pathlib import Path

import matplotlib as mpl
import msgspec
from matplotlib.figure import Figure

from monitor.plots import ARM_COLOURS, STYLE
from streams.commands.evaluate import RESULT
from streams.evaluation.result import Result
from streams.times import Duration
from wire.errors import InputError
from wire.task import ARMS

DELAYS = ("5s", "10m", "1h", "6h", "24h")
FIRST_MODEL = ("--base", "stale", "--refresh", "0s")  # versions would be fresh whatever the delay


def evaluated(log: str, delay: str, flags: list[str], out: Path) -> Result:
    """The evaluation with this delay; run unless it is there. Raises `InputError` when it fails or has other flags."""
    folder, asked = out / delay, out / f"{delay}.json"
    words = [log, *FIRST_MODEL, "--delay", delay, *flags]
    if not asked.exists():
        done = subprocess.run([sys.executable, "-m", "streams", "evaluate", *words, "--out", str(folder)], check=False)
        if done.returncode:
            raise InputError(f"coda evaluate {' '.join(words)} failed, see above")
        asked.write_text(json.dumps(words) + "\n")
    if json.loads(asked.read_text()) != words:
        raise InputError(f"{folder} was made with other flags: give another --out")
    return msgspec.json.decode((folder / RESULT).read_bytes(), type=Result)


def gains(result: Result) -> dict[str, float]:
    """GAUC over the cloud arm's, by device arm; nan where no user has both labels."""
    gauc = {arm: float("nan") if figures.gauc is None else figures.gauc for arm, figures in result.arms.items()}
    return {arm: gauc[arm] - gauc["cloud"] for arm in ARMS[1:] if arm in gauc}


def table(results: dict[str, Result]) -> list[str]:
    """The result for people."""
    arms = gains(next(iter(results.values())))
    lines = [f"{'delay':>6} {'coda − cloud':>26} {'AUC':>7} " + "".join(f"{arm:>8}" for arm in arms)]
    for delay, result in results.items():
        pair = result.paired["coda-cloud"]
        interval = f"{pair.gauc:+.4f} [{pair.ci95[0]:+.4f}, {pair.ci95[1]:+.4f}]"
        each = "".join(f"{gain:>+8.4f}" for gain in gains(result).values())
        lines.append(f"{delay:>6} {interval:>26} {pair.auc:>+7.4f} {each}")
    return lines


def plot(results: dict[str, Result], path: Path) -> None:
    """Gains against the delay, with the interval of coda's."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        delays_s = [Duration.parse(delay).ms / 1000 for delay in results]
        found = [gains(result) for result in results.values()]
        for arm in found[0]:
            axes.plot(delays_s, [each[arm] for each in found], color=ARM_COLOURS[arm], marker=".", label=arm)
        low, high = zip(*(result.paired["coda-cloud"].ci95 for result in results.values()), strict=True)
        axes.fill_between(delays_s, low, high, color=ARM_COLOURS["coda"], alpha=0.12, lw=0)
        axes.axhline(0, color=ARM_COLOURS["cloud"], lw=1)
        axes.set_xscale("log")
        axes.set_xticks(delays_s, list(results))
        axes.set_xticks([], minor=True)
        axes.set_xlabel("how long what happens takes to be learned from")
        axes.set_title("GAUC over a cloud model that stays as it is")
        figure.legend(loc="outside right upper", fontsize=8)
        figure.savefig(path, dpi=140)


def main() -> None:
    """Evaluate with each delay, print the table, draw the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("log", nargs="?", default="ml-100k")
    parser.add_argument("--delays", nargs="+", default=DELAYS)
    parser.add_argument("--out", type=Path, default=Path("runs/delay"))
    parser.add_argument("--json", type=Path, help="write the results here")
    options, flags = parser.parse_known_args()
    options.out.mkdir(parents=True, exist_ok=True)
    try:
        results = {delay: evaluated(options.log, delay, flags, options.out) for delay in options.delays}
    except InputError as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)
    print("\n".join(table(results)))
    plot(results, options.out / "delay.png")
    print(f"the plot: {options.out / 'delay.png'}")
    if options.json:
        options.json.write_text(
            json.dumps({delay: gains(result) for delay, result in results.items()}, indent=2) + "\n"
        )


if __name__ == "__main__":
    main()
