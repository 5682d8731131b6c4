"""Carries out a timetable of faults while a system runs, and asks after each what it did."""

import contextlib
import heapq
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from monitor.metrics import Metrics
from streams.faults.crowd import Crowd
from streams.faults.effect import Effect
from streams.faults.people import People
from streams.faults.poison import poison
from streams.faults.process_faults import DiskFull, Kill, Pause, Poison, Restart
from streams.faults.process_state import ENDED, STOPPED, becomes, state_of
from streams.faults.proxy import FaultProxy, Injection
from streams.faults.small_disk import fill_up, free_bytes
from streams.faults.timetable import Order
from streams.faults.toxics import Toxic
from streams.kafka.connection import KafkaSettings
from streams.kafka.producer import CheckedProducer
from streams.kafka.topics import EVENTS
from wire.errors import CodaError

_ACTS_WITHIN_S = 2.0
_STOP_LIMIT_S = 30.0
_GIVES_UP_WITHIN_S = 15.0  # with a full disk: an epoch, and what ends in order


class Victim(Protocol):
    """A process that can be killed and started again."""

    @property
    def pid(self) -> int | None:
        """Its process id."""

    def start(self) -> None:
        """Start it, also once more."""

    def kill(self, grace_s: float = 0.0) -> None:
        """`kill -9`, at once or when it has not ended in order within `grace_s`; not missed until it is started."""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """One fault as it was: seconds since the run began, and what was seen of it."""

    name: str
    began_s: float
    ended_s: float
    stops: bool
    effect: Effect

    @property
    def acted(self) -> bool:
        """Whether it took effect."""
        return self.effect.acted(self.stops)


class Conductor:
    """Runs `orders`, whose times count from `start`, in a thread; `elapsed_s` says how long the run has been going."""

    def __init__(
        self,
        orders: Sequence[Order],
        *,
        proxies: Mapping[str, Sequence[FaultProxy]],
        pool: Path | None = None,
        victims: Mapping[str, Victim],
        kafka: KafkaSettings,
        metrics: Metrics,
        elapsed_s: Callable[[], float],
        crowd: Crowd | None = None,
        seed: int = 0,
    ) -> None:
        self.done: list[Done] = []
        self._orders, self._proxies, self._victims, self._kafka = orders, proxies, victims, kafka
        self._metrics = metrics
        self._elapsed_s, self._crowd, self._seed, self._pool = elapsed_s, crowd, seed, pool
        self.may_end: set[str] = set()  # processes that something in force may end
        self._over = threading.Event()
        self._in_force: dict[int, tuple[float, Effect, Callable[[], None]]] = {}
        self._failed: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="conductor", daemon=True)

    def start(self) -> None:
        """The live stream begins now."""
        self._thread.start()

    @property
    def finished(self) -> bool:
        """Whether all faults are over."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def check(self) -> None:
        """Raise what went wrong with a fault."""
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed

    def close(self) -> None:
        """Lift what is still in force, now."""
        self._over.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        began_s = time.monotonic()
        # Of what is due at the same time, lifting comes first.
        heap = [(order.at_s, 1, number) for number, order in enumerate(self._orders)]
        heapq.heapify(heap)
        try:
            while heap:
                at_s, begins, number = heapq.heappop(heap)
                self._over.wait(max(0.0, began_s + at_s - time.monotonic()))
                if not begins:
                    self._lift(number)
                elif not self._over.is_set():
                    self._begin(number)
                    heapq.heappush(heap, (max(self._orders[number].until_s, time.monotonic() - began_s), 0, number))
        except Exception as error:
            self._failed = error
            for _, _, lift in self._in_force.values():
                with contextlib.suppress(CodaError, OSError):  # what went wrong first is what is told
                    lift()

    def _begin(self, number: int) -> None:
        order, at_s = self._orders[number], round(self._elapsed_s(), 3)
        self._metrics.faults_begun.labels(order.name).inc()
        self._in_force[number] = (at_s, *self._inject(order))

    def _lift(self, number: int) -> None:
        order, (began_s, effect, lift) = self._orders[number], self._in_force.pop(number)
        lift()
        self._metrics.faults_over.labels(order.name).inc()
        self.done.append(
            Done(
                name=order.name,
                began_s=began_s,
                ended_s=round(self._elapsed_s(), 3),
                stops=getattr(order.fault, "stops", False),
                effect=effect,
            )
        )

    def _inject(self, order: Order) -> tuple[Effect, Callable[[], None]]:
        fault = order.fault
        if isinstance(fault, Toxic):
            return self._break(fault, order)
        if isinstance(fault, People):
            assert self._crowd is not None, "there is a fleet to tell"
            return self._crowd.begin(fault, order, self._seed, time.time_ns() // 1_000_000)
        if isinstance(fault, Poison):
            return self._poison(fault), lambda: None
        if isinstance(fault, DiskFull):
            return self._fill()
        victim = self._victims[fault.process]
        if isinstance(fault, Pause):
            return pause(victim, fault.process)
        return end(victim, fault)

    def _break(self, toxic: Toxic, order: Order) -> tuple[Effect, Callable[[], None]]:
        """Each of the link's proxies, which count together, and on after it is over: half-open is for good."""
        effect = Effect()
        injections = [(proxy, Injection(toxic, order.devices, effect)) for proxy in self._proxies[order.link]]
        for proxy, injection in injections:
            proxy.inject(injection)

        def lift() -> None:
            for proxy, injection in injections:
                proxy.lift(injection)

        return effect, lift

    def _fill(self) -> tuple[Effect, Callable[[], None]]:
        """Fill up the pool's disk. It stays full until the flow has given up, so that it does not end just after."""
        assert self._pool is not None, "a scenario that fills it has one"
        flow, disk = self._victims["flow"], self._pool
        pid = _running(flow, "flow")
        self.may_end.add("flow")
        filled = fill_up(disk)
        effect = Effect(seen=f"{free_bytes(disk)} bytes free" if free_bytes(disk) == 0 else "")

        def make_room() -> None:
            ended = becomes(pid, ENDED, _GIVES_UP_WITHIN_S)
            filled.unlink()
            if ended:
                effect.seen += f", flow ({pid}) ended"
                flow.kill()
                flow.start()
            self.may_end.remove("flow")

        return effect, make_room

    def _poison(self, fault: Poison) -> Effect:
        producer = CheckedProducer(self._kafka)
        for i, value in enumerate(poison(fault.messages)):
            producer.send(EVENTS, f"poison-{i % 7}", value)
        producer.flush()
        return Effect(seen=f"{fault.messages} messages in {EVENTS}")


def pause(victim: Victim, name: str) -> tuple[Effect, Callable[[], None]]:
    """SIGSTOP, seen in the process's state; returns what ends it."""
    pid = _running(victim, name)
    send = os.killpg if os.getpgid(pid) == pid else os.kill  # the broker shares the group of whoever started it
    send(pid, signal.SIGSTOP)
    stopped = becomes(pid, STOPPED, _ACTS_WITHIN_S)
    effect = Effect(seen=f"{name} ({pid}) stopped" if stopped else "")

    def resume() -> None:
        with contextlib.suppress(ProcessLookupError):
            send(pid, signal.SIGCONT)

    return effect, resume


def end(victim: Victim, fault: Kill | Restart) -> tuple[Effect, Callable[[], None]]:
    """Kill it, or tell it to end; returns what starts it again."""
    pid, effect = _running(victim, fault.process), Effect()
    victim.kill(_STOP_LIMIT_S if isinstance(fault, Restart) else 0.0)
    if becomes(pid, ENDED, _ACTS_WITHIN_S):
        effect.seen = f"{fault.process} ({pid}) ended"
    return effect, victim.start


def _running(victim: Victim, name: str) -> int:
    if (pid := victim.pid) is None or not state_of(pid):
        raise CodaError(f"{name} does not run, so it cannot be broken: leave a longer time between its faults")
    return pid
