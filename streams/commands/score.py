"""`coda score`: a strong global model live, until interrupted."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal

import structlog

from models.streamed.context import ContextNames
from monitor.metrics import Metrics
from streams.base.choice import MEANING
from streams.base.context import NO_OPTIONS, ContextOptions
from streams.base.training import Abandoned, Beside
from streams.home import settle
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.kafka.topics import EVENTS, SCORE_GROUP, UNSCORED
from streams.logs.data import find_log
from streams.logs.options import AS_FOUND, LogOptions
from streams.logs.slices import INITIAL_SHARE
from streams.metrics_server import metrics_server
from streams.process.long_lived import LongLived
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.scoring.beginning import begin
from streams.scoring.scorer import Made
from streams.scoring.service import STAGE, ScoringService, topic_bounds
from streams.scoring.state import ScoringState
from streams.settings import AtLeast0, InitialShare, SomeTime
from streams.stop import Stop
from streams.times import Duration
from streams.work_view import work_view
from wire.clock import SystemClock
from wire.durable import hold, make_folder
from wire.errors import InputError
from wire.status import Role

_FEW = 64  # messages of a step: a step costs a few ms for nothing, which they share
_REST_S = 0.02  # after a step of fewer, for more to come: far below the 250 ms of pooling

_log = structlog.get_logger()


def command(
    *,
    initial_log: str | None = None,
    initial_share: InitialShare = INITIAL_SHARE,
    options: LogOptions = AS_FOUND,
    context: ContextOptions = NO_OPTIONS,
    base: Literal["boosted", "online"] | None = None,
    delay: SomeTime = Duration.parse("5s"),
    topic: str = UNSCORED,
    state: Path = Path("runs/score"),
    epoch: SomeTime = Duration.parse("60s"),
    kafka: KafkaOptions = LOCAL_KAFKA,
    metrics_port: AtLeast0 = 0,
    seed: int = 0,
) -> int:
    """Pass events on to the topic events with what a strong global model expected of each, until interrupted.

    Personal models add to that. It learns from the initial part of a log first, as the first cloud model does, and then
    from every event; a second run resumes. What an event says itself it leaves as it is. What it cannot use goes to the
    topic `events.dlq`.

    Example

    ```
    coda score --initial-log groceries
    coda replay groceries --via score --speed 20000
    ```

    Args:
        initial_log: A file, or a name from `coda data list`: needed for the first run only.
        initial_share: How much of the log, by time, it learns from first. Events of that time it passes on unscored.
        base: The model: `boosted` trees on streamed features, trained on the initial part and again as the stream goes,
            or else, the default where that part is too short for trees, a regression on the same that learns as it
            goes (`online`).
        delay: How old what everybody did is at least, in event time, when the model knows it.
        topic: Where events come from, in the format of the topic events.
        state: The folder for what it knows and how far it has read, made when it is new; it belongs to this Kafka.
        epoch: How often the state is saved: what a crash repeats. The dataflow drops what is said twice.
        metrics_port: Serve metrics on this port of 127.0.0.1; 0 serves none.
        seed: Of the trees.
    """
    if topic == EVENTS:
        raise InputError("--topic events is where it writes to: let events come in another topic")
    settings, stop = kafka.settings(), Stop()
    probe(settings.bootstrap, properties=settings.properties)
    ensure_topics(settings)
    bus, clock, metrics = KafkaBus(settings), SystemClock(), Metrics()
    topic_bounds(bus, topic)  # before it learns for nothing
    make_folder(state)
    with (
        metrics_server(metrics_port, metrics.registry),
        hold(state),
        ThreadPoolExecutor(1) as thread,
        ThreadPoolExecutor(1) as disk,
        Beside(thread, stop.told) as hand,
    ):
        settle(state, bus.home([topic]), "give another --state, and it begins anew by --initial-log")
        kept = ScoringState(state)
        resumed = kept.resume(clock.steady_ms(), hand)
        if resumed is not None:
            scorer, positions = resumed
            _check(state, scorer.made, base=base, delay_ms=delay.ms, context=context.said, seed=seed)
        elif initial_log is not None:
            path = find_log(initial_log)
            with work_view(say=_log.info) as show:
                scorer = begin(
                    path,
                    initial_share,
                    options,
                    base=base,
                    delay_ms=delay.ms,
                    context=context,
                    seed=seed,
                    show=show,
                    hand=hand,
                )
            positions = {}
        else:
            raise InputError(f"{state} has no state yet: give --initial-log LOG to learn from first")
        _log.info(f"base: {MEANING[scorer.made.base]}", topic=topic, kafka=settings.bootstrap)
        lookout = Lookout(bus, clock, metrics, stage=STAGE, group=SCORE_GROUP, topic=topic)
        pulse = Pulse(Role.SCORER, "scorer", bus, clock, metrics, lookouts=[lookout])
        with stop.listening(), pulse:
            service = ScoringService(
                bus,
                clock,
                metrics,
                scorer,
                kept,
                topic=topic,
                positions=positions,
                epoch_ms=epoch.ms,
                disk=disk,
                stopping=stop.told,
            )
            long_lived = LongLived()
            try:
                while not stop.signal:
                    long_lived.look(len(scorer.came))
                    if service.step() < _FEW:
                        time.sleep(_REST_S)
                service.keep()
            except Abandoned:  # told to stop while it waited for trees
                _log.warning(
                    "stopped while trees were trained: the next run goes on from the state that was saved last"
                )
            finally:
                service.close()
    return stop.exit_code


def _check(state: Path, made: Made, *, base: str | None, delay_ms: int, context: ContextNames, seed: int) -> None:
    """Raise `InputError` where the state is of a scorer with other settings; what is not said stays as it was."""
    pairs = {
        "base": (made.base, base or made.base),
        "delay": (Duration(made.delay_ms / 1000), Duration(delay_ms / 1000)),
        "item-context": (",".join(made.context.item), ",".join(context.item or made.context.item)),
        "moment-context": (",".join(made.context.moment), ",".join(context.moment or made.context.moment)),
        "seed": (made.seed, seed),
    }
    for name, (was, asked) in pairs.items():
        if was != asked:
            with_it = f"no --{name}" if was == "" else f"--{name} {was}"
            raise InputError(f"{state} is of a scorer with {with_it}, not {asked}: give that, or another --state")
