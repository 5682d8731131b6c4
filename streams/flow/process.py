"""One process of the dataflow: opens what it needs, runs Bytewax until it is told to stop, closes everything.

SIGINT and SIGTERM end the input; the dataflow drains, takes a last snapshot and ends. (Bytewax by itself takes none.)
"""

import gc
import os
import signal
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from datetime import timedelta
from pathlib import Path

import msgspec
import structlog
import torch
from bytewax.recovery import RecoveryConfig
from bytewax.testing import cluster_main  # the only door to a cluster that is not a command line of Bytewax's own

from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from operators.placement import shards_of
from streams.flow.blame import Blame
from streams.flow.dataflow import build_flow
from streams.flow.model_feed import ModelFeed
from streams.flow.panics import Panics
from streams.flow.pool_shards import PoolShards
from streams.flow.restart import Restart
from streams.flow.settings import FlowSettings
from streams.flow.sink import KafkaOutput
from streams.flow.source import IDLE_ALONE_S, IDLE_S, KafkaInput, Reader
from streams.flow.state import check_room, state_error
from streams.flow.state_shards import StateShards
from streams.flow.thread_state import keep_thread_state
from streams.flow.timer_slack import be_drowsy, be_exact
from streams.flow.uncounted import forget_uncounted, progress_of, resume_epoch
from streams.home import settle
from streams.kafka.admin import ensure_topics
from streams.kafka.bus import KafkaBus
from streams.kafka.topic_watch import TopicWatch
from streams.kafka.topics import EVENTS, FLOW_GROUP, REQUESTS
from streams.log import set_up_logging
from streams.metrics_server import PortTaken, metrics_server
from streams.process.lookout import Lookout
from streams.process.pulse import Pulse
from streams.stop import Stop
from streams.supervisor import AGAIN, LOST, NO_RESTART, end_with
from streams.tunnel.room import TunnelRoom
from wire.clock import SystemClock
from wire.errors import CodaError, ConnectionFailed, InputError, PoolError, StorageError
from wire.signing import load_public_key
from wire.status import Role

# Another process may have seen the first model a moment earlier than this one.
_MODEL_WAIT_S = 60
READS = {"pooled": EVENTS, "matched": REQUESTS}  # by stage, what has to come through the dataflow

_log = structlog.get_logger()


class ProcessLost(ConnectionFailed):
    """Another process of this dataflow is gone."""


class BeginAnew(CodaError):
    """This process must begin anew, and those of other hosts, who do not see why, with it."""


def run_process(settings: FlowSettings, process: int, addresses: Sequence[str], stop: Stop) -> bool:
    """Run process number `process` of those at `addresses` until `stop`; alone when there are none.

    True when all shall begin anew in good order; one that runs alone does that itself.
    Raises `CodaError` when it fails for a reason that the world is to blame for.
    """
    torch.set_num_threads(1)  # one thread per process: encoding is small batches
    kafka, clock, metrics = settings.kafka, SystemClock(), Metrics()
    bus = KafkaBus(kafka)
    port = settings.metrics_port + process % settings.processes_per_host if settings.metrics_port else 0
    with ExitStack() as opened:
        opened.enter_context(stop.listening())
        opened.enter_context(metrics_server(port, metrics.registry))
        ensure_topics(kafka)
        lookouts = [
            Lookout(bus, clock, metrics, stage=stage, group=FLOW_GROUP, topic=topic) for stage, topic in READS.items()
        ]
        opened.enter_context(Pulse(Role.FLOW, str(process), bus, clock, metrics, lookouts=lookouts))
        pools = opened.enter_context(PoolShards(Path(settings.pool), settings.shards, settings.pool_spec))
        states = opened.enter_context(StateShards(Path(settings.state), settings.shards))
        home = bus.home([EVENTS])
        for folder in (settings.state, settings.pool):
            settle(Path(folder), home, "the state and the pool belong together, give another --state and --pool")
        gc.freeze()  # else a collection walks all that was imported, and everything waits for 110 ms of that
        mine = shards_of(process, settings.processes, settings.shards)
        # Opened now, so that a pool that cannot be opened is told before anything is read.
        public = load_public_key(Path(settings.cloud_key)) if settings.cloud_key else None
        feed = ModelFeed(bus, clock, metrics, [pools.pool(shard).model for shard in mine], public)
        opened.callback(feed.close)
        while _run_once(settings, process, addresses, stop, pools=pools, states=states, feed=feed, metrics=metrics):
            if addresses:
                return True
    return False


def _run_once(
    settings: FlowSettings,
    process: int,
    addresses: Sequence[str],
    stop: Stop,
    *,
    pools: PoolShards,
    states: StateShards,
    feed: ModelFeed,
    metrics: Metrics,
) -> bool:
    """From the last snapshot on until `stop`, or until Bytewax has to begin anew: then True."""
    kafka, clock, blame = settings.kafka, SystemClock(), Blame()
    bus = KafkaBus(kafka)
    partitions = [partition for topic in (EVENTS, REQUESTS) for partition in bus.bounds(topic)]
    restart = Restart(TopicWatch(kafka, partitions), clock)
    with ExitStack() as opened:
        reader = Reader(
            bus,
            blame,
            clock,
            time.sleep,
            idle_s=IDLE_S if addresses else IDLE_ALONE_S,
            linger_ms=settings.linger_ms,
            busy=pools.in_shadow,
        )
        opened.callback(reader.close)
        room = opened.enter_context(TunnelRoom(bus, clock))
        source = KafkaInput(
            reader,
            partitions,
            ready=lambda: feed.current() is not None and room(),
            stopping=lambda: stop.told() or _due(restart, settings),
            begin=_begin_to_work,
        )
        sink = KafkaOutput(bus, process, blame, stopping=stop.told, sent=room.sent)
        flow = build_flow(
            settings,
            source,
            sink,
            pools,
            states,
            clock=clock,
            metrics=metrics,
            model=lambda: _first(feed, blame),
            blame=blame,
            held_up=source.epoch_ends,
        )
        _log.info(
            "dataflow", kafka=settings.bootstrap, pool=settings.pool, process=f"{process + 1}/{settings.processes}"
        )
        if settings.hosts == 1:  # several have done it where they met
            forget_uncounted(Path(settings.state), resume_epoch([progress_of(Path(settings.state))]))
        be_drowsy()
        try:
            cluster_main(  # type: ignore[no-untyped-call]
                flow,
                list(addresses),
                process,
                epoch_interval=timedelta(milliseconds=settings.epoch_ms),
                recovery_config=RecoveryConfig(settings.state),  # type: ignore[no-untyped-call]
            )
        except BaseException as error:
            state = Path(settings.state)
            if isinstance(blame.error, BeginAnew):
                return True
            if blamed := blame.error or state_error(error, state) or _lost(error, addresses, state):
                raise blamed from error
            raise
        finally:
            be_exact()
        if blame.error:
            raise blame.error
    if restart.why and not stop.signal:
        _log.info(f"{restart.why}: beginning anew from the snapshot that was just taken")
        return True
    return False


def _begin_to_work() -> None:
    """What Bytewax's worker does first in its thread."""
    be_exact()
    keep_thread_state()


def _due(restart: Restart, settings: FlowSettings) -> bool:
    """Whether to end the input and begin anew.

    On several hosts that would wait for the others, whose clocks are right: raises `BeginAnew`, which ends all.
    """
    if restart.due() and settings.hosts > 1:
        _log.info(f"{restart.why}: all hosts begin anew from the last snapshot")
        raise BeginAnew(restart.why)
    return restart.due()


def _first(feed: ModelFeed, blame: Blame) -> CloudModel:
    deadline_s = time.monotonic() + _MODEL_WAIT_S
    with blame:
        while (model := feed.current()) is None:
            if time.monotonic() > deadline_s:
                raise ConnectionFailed("work came from another process, but no cloud model: look at the topic `models`")
            time.sleep(0.05)
    return model


def _lost(error: BaseException, addresses: Sequence[str], state: Path) -> CodaError | None:
    """What a process of a cluster dies of when another one has died is a thread's panic, which is no `Exception`.

    Of a thread that could not save its state that is all there is to see, too.
    """
    if addresses and not isinstance(error, Exception | KeyboardInterrupt):
        try:
            check_room(state)
        except StorageError as full:
            return full
        return ProcessLost("another process of this dataflow is gone, and none can go on without it")
    return None


def main(arguments: Sequence[str]) -> int:
    """What the supervisor starts: settings as JSON, the process's number, and all addresses."""
    settings = msgspec.json.decode(arguments[0], type=FlowSettings)
    stop = Stop(signal.SIGTERM)
    set_up_logging()
    end_with(os.getppid())
    try:
        again = run_process(settings, int(arguments[1]), arguments[2:], stop)
    except CodaError as error:
        print(f"coda flow, process {arguments[1]}: {error}", file=sys.stderr)  # noqa: T201
        if isinstance(error, PoolError | StorageError | PortTaken):
            return NO_RESTART
        if isinstance(error, ProcessLost):
            return LOST
        return 2 if isinstance(error, InputError) else 1
    return AGAIN if again else stop.exit_code


if __name__ == "__main__":
    sys.stderr = Panics(sys.stderr)
    code = main(sys.argv[1:])
    sys.stdout.flush()
    os._exit(code)  # a worker's thread that is still there would abort an interpreter that tears itself down
