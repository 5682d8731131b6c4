"""What a demo with faults has that one without has not: proxies before the MQTT broker, a historian, a conductor."""

import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from itertools import chain
from pathlib import Path
from typing import Self

import msgspec
import polars as pl

from monitor.accounting import Accounting
from monitor.metrics import Metrics
from monitor.state import State
from streams.child import Child
from streams.demo.plan import Brokers
from streams.demo.stack import Stack
from streams.demo.watcher import Watcher
from streams.evaluation.arms import read_predictions
from streams.faults.conductor import Conductor, Victim
from streams.faults.convergence import read_logged, read_pooled
from streams.faults.crowd import ORDERS, Crowd
from streams.faults.history import Historian
from streams.faults.personalisation import beside_the_others, beside_undisturbed
from streams.faults.proxy import FaultProxy
from streams.faults.recovery import Look, there_before
from streams.faults.scenario import Scenario
from streams.faults.timetable import timetable
from streams.faults.verdict import Evidence, Verdict, judge
from streams.kafka.bus import KafkaBus
from streams.process.pulse import Pulse
from streams.training.published import published_versions
from streams.tunnel.ledger import Push, account
from streams.tunnel.tunnel import EXPIRY_MS
from wire.clock import SystemClock
from wire.durable import write_durably
from wire.signing import load_public_key
from wire.status import Role


class Ordeal:
    """A scenario on its way, on a `stack`; its `brokers` are as our processes find them.

    The run is in `folder`, and with a disk to be filled its pool is on one of its own there.
    """

    def __init__(self, scenario: Scenario, stack: Stack, folder: Path) -> None:
        self.scenario, self._folder = scenario, folder
        broker = (stack.mqtt.host, stack.mqtt.port)
        self._proxies = {link: [FaultProxy(broker, scenario.seed)] for link in ("devices", "tunnel")}
        self._proxies["kafka"] = [
            FaultProxy(("127.0.0.1", listener), scenario.seed, port) for listener, port in stack.proxied
        ]
        self._kafka, self._stack = stack.kafka, stack
        self.historian = Historian(self._kafka)
        self._conductor: Conductor | None = None
        self._opened = ExitStack()
        self._live_s, self._live_ms, self._there = 0.0, 0, frozenset[str]()
        self.looks: list[Look] = []

    def __enter__(self) -> Self:
        with ExitStack() as opening:
            for proxy in chain.from_iterable(self._proxies.values()):
                opening.enter_context(proxy)
            opening.enter_context(self.historian)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, *error: object) -> None:
        if self._conductor is not None:
            self._conductor.close()
        self._opened.close()

    @property
    def brokers(self) -> Brokers:
        """Through the proxies."""
        (devices,), (tunnel,), kafka = (self._proxies[link] for link in ("devices", "tunnel", "kafka"))
        through = ",".join(proxy.address for proxy in kafka)
        return Brokers(through or self._kafka.bootstrap, tunnel.address, devices.address)

    def begin(self, children: Mapping[str, Child], watcher: Watcher) -> None:
        """The live stream begins: so do the faults."""
        victims: dict[str, Victim] = {**children, **self._stack.victims}
        metrics = Metrics()
        self._live_s, self._live_ms = watcher.elapsed_s, time.time_ns() // 1_000_000
        self._there = there_before(self.looks, self._live_s)
        self._conductor = Conductor(
            timetable(self.scenario),
            proxies=self._proxies,
            victims=victims,
            kafka=self._kafka,
            metrics=metrics,
            elapsed_s=lambda: watcher.elapsed_s,
            crowd=Crowd(self._folder / ORDERS, lambda: watcher.total(Metrics.device_outcomes, "outcome")),
            seed=self.scenario.seed,
            pool=self._folder / "pool",
        )
        self._opened.enter_context(
            Pulse(Role.CHAOS, self.scenario.name, KafkaBus(self._kafka), SystemClock(), metrics, shows=False)
        )
        self._conductor.start()

    @property
    def over(self) -> bool:
        """Whether all faults are; raises what went wrong with them."""
        return self._conductor is not None and self._conductor.finished

    @property
    def conductor(self) -> Conductor:
        """Who knows what was done."""
        assert self._conductor is not None, "it has begun"
        return self._conductor

    def may_end(self, name: str) -> bool:
        """Whether something in force may end the process of that name."""
        return self._conductor is not None and name in self._conductor.may_end

    def check(self) -> None:
        """Raise what went wrong with the faults."""
        if self._conductor is not None:
            self._conductor.check()

    def look(self, elapsed_s: float) -> None:
        """See which devices the broker can reach."""
        self.looks.append(Look(elapsed_s, self._proxies["devices"][0].devices()))

    @property
    def missing(self) -> frozenset[str]:
        """Devices that were there when the live stream began, and are not now."""
        return self._there - self.looks[-1].devices if self.looks else frozenset()

    def verdict(
        self,
        folder: Path,
        states: Sequence[State],
        predictions: pl.DataFrame,
        problems: Sequence[str],
        undisturbed: Path | None = None,
    ) -> Verdict:
        """What came of the run in `folder`, beside the one in `undisturbed`, once everything has ended."""
        self.historian.close()
        history, seed = self.historian.history, self.scenario.seed
        versions = published_versions(KafkaBus(self._kafka), load_public_key(folder / "keys" / "cloud.pub"))
        evidence = Evidence(
            history=history,
            looks=self.looks,
            states=states,
            faults=self.conductor.done,
            predictions=predictions,
            pooled=read_pooled(folder),
            logged=read_logged(folder / "log.parquet"),
            published={version.id for version in versions},
            live_s=self._live_s,
            live_ms=self._live_ms,
            healed_within_s=self.scenario.healed_within_s,
            problems=problems,
            undisturbed=None if undisturbed is None else read_pooled(undisturbed),
        )
        if undisturbed is None:
            return judge(evidence, beside_the_others(predictions, self._hit, seed))
        calm = read_predictions(undisturbed / "fleet" / "predictions.parquet")
        return judge(evidence, beside_undisturbed(predictions, calm, history, evidence.window_ms, seed))

    def write(self, path: Path) -> None:
        """Each fault, event and batch as one JSON line."""
        rows = [*map(msgspec.to_builtins, self.conductor.done), *self.historian.history.rows()]
        write_durably(path, b"".join(msgspec.json.encode(row) + b"\n" for row in rows))

    def _hit(self, users: Iterable[str]) -> list[str]:
        """Those of them whose devices some fault was about, as one of a share or group."""
        groups = [order.devices for order in timetable(self.scenario) if order.devices is not None]
        return [user for user in users if any(user in group for group in groups)]

    def accounts(self) -> Accounting:
        """Events and pushes as the history has them."""
        history = self.historian.history
        now_ms = time.time_ns() // 1_000_000
        expiry_ms = EXPIRY_MS if self.scenario.expiry_s is None else round(1000 * self.scenario.expiry_s)
        pushes = [Push(device, seq, at_ms + expiry_ms) for (device, seq), at_ms in history.batches.items()]
        standing = [(device, report.answered_seq) for device, report in history.reports.items()]
        tally = account(pushes, [*history.answers, *standing], now_ms)
        outcomes = tally.as_dict()
        return Accounting(
            produced=len(history.attempted),
            pooled=len(history.pooled),
            rejected={"refused": len(history.refused)} if history.refused else {},
            pushes=outcomes.pop("pushes"),
            push_outcomes=outcomes,
        )
