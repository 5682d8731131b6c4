"""The dataflow as several processes against one, without Kafka: part of `python -m benchmarks.flow`.

What counts is the CPU of all threads of the dataflow's processes for an event, so that it does not matter who else
computes. The *capacity* of n is how many times as much as one they take in where each has a core of its own: n times
what an event costs one, divided by what it costs all together. What they wait for each other is left out.
"""

import gc
import multiprocessing
import pickle
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median
from typing import Any
from zlib import crc32

import torch
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main

from benchmarks.flow_profile import STEPS as ONE
from benchmarks.flow_profile import Forgotten, Listed, timed
from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.pool_shards import PoolShards
from streams.flow.settings import FlowSettings
from streams.flow.state import prepare_state
from streams.flow.state_shards import StateShards
from streams.flow.timer_slack import be_drowsy, be_exact
from streams.ports import free_ports
from wire.clock import SystemClock

WARM = 0.2  # share of the events before the clock runs, as in `benchmarks.flow`
_REST = "Bytewax, snapshots, clock, the rest"
AT_A_TIME = 1000  # events in a pass, as the dataflow takes at full speed
MIN_USERS = 5  # as `coda flow` has it
STEPS = {**ONE, "pickle what goes out": (pickle, "dumps"), "unpickle what comes": (pickle, "loads")}


@dataclass(frozen=True)
class Spent:
    """CPU seconds of processes together, and of their steps."""

    cpu_s: float
    steps_s: dict[str, float]


@dataclass(frozen=True)
class Part:
    """One process of `processes`: its events and what it needs."""

    number: int
    addresses: list[str]
    folder: str
    values: Sequence[bytes]
    model: CloudModel
    steps: bool


def split(keys: Sequence[bytes], values: Sequence[bytes], model: CloudModel, processes: int, *, steps: bool) -> Spent:
    """What so many processes spend on these events, which come to them by user; by steps or not, which costs itself."""
    addresses = [f"127.0.0.1:{port}" for port in free_ports(processes)] if processes > 1 else []
    with tempfile.TemporaryDirectory() as folder:
        prepare_state(Path(folder) / "state")
        parts = [
            Part(
                number,
                addresses,
                folder,
                [value for key, value in zip(keys, values, strict=True) if crc32(key) % processes == number],
                model,
                steps,
            )
            for number in range(processes)
        ]
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            found = pool.map(_spend, parts, chunksize=1)
    steps_s = {step: sum(each.steps_s.get(step, 0) for each in found) for step in STEPS} if steps else {}
    return Spent(sum(each.cpu_s for each in found), steps_s)


class _Events(Listed):
    """Read by a worker that is on time, whatever thread started it (`streams.flow.timer_slack`)."""

    def build_part(self, step_id: str, for_part: str, resume_state: int | None) -> Any:
        be_exact()
        return super().build_part(step_id, for_part, resume_state)


class _Meter:
    """CPU that this process and its steps have spent since it was given `first` events."""

    def __init__(self, first: int, steps_s: Mapping[str, float]) -> None:
        self._first, self._steps_s = first, steps_s
        self._began: tuple[float, dict[str, float]] | None = None

    def given(self, events: int) -> None:
        """So many events were."""
        if self._began is None and events >= self._first:
            self._began = time.process_time(), dict(self._steps_s)

    def spent(self) -> tuple[float, dict[str, float]]:
        """Seconds of CPU, and those of its steps."""
        assert self._began is not None, "no event was asked for"
        began_s, steps_s = self._began
        return time.process_time() - began_s, {k: v - steps_s.get(k, 0) for k, v in self._steps_s.items()}


def _spend(part: Part) -> Spent:
    torch.set_num_threads(1)
    processes = max(1, len(part.addresses))
    settings = FlowSettings(
        bootstrap="",
        pool=f"{part.folder}/pool-{part.number}",
        state=f"{part.folder}/state",
        processes=processes,
        shards=processes,
        min_users=MIN_USERS,
    )
    with ExitStack() as opened:
        pools = opened.enter_context(PoolShards(Path(settings.pool), processes, settings.pool_spec))
        pools.pool(part.number)  # which compiles: at the first work, that may come once the clock runs
        states = opened.enter_context(StateShards(Path(settings.state), processes))
        meter = _Meter(round(WARM * len(part.values)), opened.enter_context(timed(STEPS)) if part.steps else {})
        source: Any = _Events(part.values, AT_A_TIME, part.number, meter.given)
        flow = build_flow(
            settings,
            source,
            Forgotten(part.number),
            pools,
            states,
            clock=SystemClock(),
            metrics=Metrics(),
            model=lambda: part.model,
            blame=Blame(),
        )
        gc.freeze()  # as `streams.flow.process`
        be_drowsy()
        cluster_main(  # type: ignore[no-untyped-call]
            flow,
            part.addresses,
            part.number,
            epoch_interval=timedelta(milliseconds=settings.epoch_ms),
            recovery_config=RecoveryConfig(settings.state),  # type: ignore[no-untyped-call]
        )
        cpu_s, steps_s = meter.spent()
        return Spent(cpu_s, steps_s)


def measure(
    keys: Sequence[bytes], values: Sequence[bytes], model: CloudModel, turns: int, several: Sequence[int]
) -> dict[str, Any]:
    """µs of CPU for an event in one process and in `several`, in turns, and of each step in a run of its own.

    What no step takes is what is left of that run, which also pays for looking at the clock at each small step.
    """
    us: dict[int, list[float]] = {n: [] for n in (1, *several)}
    for _ in range(turns):
        for processes, found in us.items():
            found.append(_us(split(keys, values, model, processes, steps=False).cpu_s, values))
    by_step: dict[int, dict[str, float]] = {}
    for processes in us:
        spent = split(keys, values, model, processes, steps=True)
        steps = {step: _us(cpu_s, values) for step, cpu_s in spent.steps_s.items()}
        by_step[processes] = steps | {_REST: _us(spent.cpu_s, values) - sum(steps.values())}
    capacity = {n: n * median(us[1]) / median(us[n]) for n in several}
    return {"us": us, "capacity": capacity, "steps_us": by_step}


def table(found: dict[str, Any]) -> list[str]:
    """The result for people."""
    us, steps_us = found["us"], found["steps_us"]
    rows = {
        name: [of(each) for each in us.values()] for name, of in (("median", median), ("least", min), ("most", max))
    }
    rows |= {step: [steps_us[n][step] for n in us] for step in STEPS}
    rows[_REST] = [steps_us[n][_REST] for n in us]
    heads = "".join(f"{n:>10}" for n in us)
    lines = [f"{'without Kafka, µs of CPU an event; processes':<46}{heads}"]
    lines += [f"  {name:<44}" + "".join(f"{each:>10.1f}" for each in row) for name, row in rows.items()]
    told = ", ".join(f"of {n} {times:.2f}" for n, times in found["capacity"].items())
    return [*lines, f"capacity, each with a core, in times that of one: {told}"]


def _us(cpu_s: float, values: Sequence[bytes]) -> float:
    return 1e6 * cpu_s / len(values) / (1 - WARM)
