"""How old things get by how fast events come: `benchmarks.freshness` at one pace after the other.

    python -m benchmarks.rates                                   embedded brokers, 500 devices, 250 to 2,000 events/s
    python -m benchmarks.rates --paces 500 1000 3000 --devices 2000 --plot FILE.png

Each pace has a system of its own, from its first cloud model on. Arms are those that a service trains.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from benchmarks import freshness
from benchmarks.freshness import EPOCH, LINGER, TARGETS_S, say
from monitor.plots import STYLE
from streams.child import ChildFailed

PACES = (250, 500, 1000, 2000)
AGES_MS = (10, 20, 50, 100, 200, 500, 1_000, 2_000, 5_000, 10_000)  # that the plot names


def table(results: list[dict[str, Any]]) -> list[str]:
    """The results for people."""
    lines = [f"{'events/s':>8} {'stage':<10} {'p50 ms':>8} {'p95 ms':>8} {'p99 ms':>8}   cores busy in all"]
    for result in results:
        for name in TARGETS_S:
            row = result["stages"][name]
            ages = " ".join(f"{row[f'p{q}_ms']:>8,.0f}" for q in (50, 95, 99))
            lines.append(f"{result['pace_per_s']:>8,} {name:<10} {ages}   {result['machine_busy']:.2f}")
    return lines


def plot(results: list[dict[str, Any]], path: Path) -> None:
    """p50 and p99 of each stage over the pace."""
    paces = [result["pace_per_s"] for result in results]
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(7, 3.6), layout="constrained")
        axes = figure.add_subplot()
        for colour, name in zip(("C0", "C1", "C2"), TARGETS_S, strict=True):
            for quantile, style in (("p50", "-"), ("p99", ":")):
                ages = [result["stages"][name][f"{quantile}_ms"] for result in results]
                axes.plot(paces, ages, style, color=colour, marker=".", label=f"{name}, {quantile}")
        axes.set(xscale="log", yscale="log", xlabel="events a second", title="age in ms, by stage")
        axes.set_xticks(paces, [f"{pace:,}" for pace in paces], minor=False)
        told = [ms for ms in AGES_MS if axes.get_ylim()[0] <= ms <= axes.get_ylim()[1]]
        axes.set_yticks(told, [f"{ms:,}" for ms in told])
        axes.minorticks_off()
        figure.legend(loc="outside right upper", fontsize=8)
        figure.savefig(path, dpi=140)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--log", default="ml-1m", help="a name from `coda data list`, or `generated`")
    parser.add_argument("--paces", type=int, nargs="+", default=list(PACES), help="events per second")
    parser.add_argument("--devices", type=int, default=500)
    parser.add_argument("--arms", default="cloud,local,coda", help="that devices train")
    parser.add_argument("--warm-up", type=int, default=12, help="seconds of each live part that do not count")
    parser.add_argument("--seconds", type=int, default=25)
    parser.add_argument("--plot", type=Path, help="draw p50 and p99 here")
    parser.add_argument("--json", type=Path, help="write the results here")
    options = parser.parse_args()
    results = []
    for pace in options.paces:
        say(f"{pace:,} events/s")
        one = argparse.Namespace(
            **vars(options),
            pace=pace,
            bootstrap=None,
            mqtt=None,
            out=None,
            fleet_processes=1,
            epoch=EPOCH,
            linger=LINGER,
        )
        try:
            results.append(freshness.measure(one))
        except ChildFailed as failure:
            sys.exit(f"{failure}\n{failure.tail}")
        print("\n".join(freshness.table(results[-1])), file=sys.stderr)
    print("\n".join(table(results)))
    if options.json:
        options.json.write_text(json.dumps(results, indent=2) + "\n")
    if options.plot:
        plot(results, options.plot)


if __name__ == "__main__":
    main()
