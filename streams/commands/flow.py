"""`coda flow`: the cloud dataflow, until interrupted."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from streams.flow.agreement import common_settings
from streams.flow.hosts import Hosts, parse_hosts
from streams.flow.link import Hello
from streams.flow.meeting import Chair, Member, listen
from streams.flow.settings import FlowSettings
from streams.flow.state import has_begun, name_state, new_name, prepare_state, state_name
from streams.flow.state_shards import check_pool
from streams.flow.uncounted import forget_uncounted, progress_of
from streams.kafka.connection import probe
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.settings import AtLeast0, AtLeast1, AtLeast2, SomeTime
from streams.stop import Stop
from streams.supervisor import Meeting, OneMachine, supervise
from streams.times import DAY_MS, Duration
from wire.clock import SystemClock
from wire.durable import hold, make_folder
from wire.errors import InputError

_LEAST_EPOCH_MS = 10  # saving the state takes milliseconds


def command(
    *,
    kafka: KafkaOptions = LOCAL_KAFKA,
    pool: Path = Path("runs/pool"),
    state: Path = Path("runs/flow-state"),
    cloud_key: Path | None = None,
    shards: AtLeast0 = 0,
    processes: AtLeast1 = 1,
    hosts: str = "",
    host: int | None = None,
    match_every: AtLeast1 = 20,
    candidates: AtLeast2 = 1600,
    random: bool = True,
    freshness_budget: SomeTime = Duration.parse("10m"),
    lateness: SomeTime = Duration.parse("1h"),
    pool_age: SomeTime = Duration.parse("30d"),
    pool_count: AtLeast1 = 200_000,
    min_users: AtLeast1 = 5,
    users: AtLeast1 = 1_000_000,
    user_age: SomeTime = Duration.parse("400d"),
    epoch: SomeTime = Duration.parse("1s"),
    linger: SomeTime = Duration.parse("25ms"),
    metrics_port: AtLeast0 = 0,
    seed: int = 0,
) -> int:
    """Turn events into pooled samples and candidate batches, until interrupted; a second run resumes where it ended.

    It waits for the first cloud model (`coda train-cloud`). What it cannot use goes to the topic `events.dlq`.

    Example

    ```
    coda flow --bootstrap 127.0.0.1:9092 --processes 2 --metrics-port 9101
    ```

    Several machines, each with the same command but for its own number, begin when all are there:

    ```
    coda flow --bootstrap kafka:9092 --hosts 10.0.0.1:9500,10.0.0.2:9500 --host 0 --processes 4 --shards 8
    coda flow --bootstrap kafka:9092 --hosts 10.0.0.1:9500,10.0.0.2:9500 --host 1 --processes 4 --shards 8
    ```

    All other settings must be the same on all of them, but for --pool, --state, --cloud-key, --kafka-config,
    --bootstrap and --metrics-port. On each host's own disk are the pool's shards of its processes and its part of the
    state. When a host dies, all stop and wait for it, and go on from the last snapshot; without its disk, see
    docs/scaling.md. Let nobody else reach these ports: whoever does can run code there.

    Args:
        pool: The pool's folder, made when it is new.
        state: The folder for positions and user states, made when it is new; it belongs to this Kafka.
        cloud_key: The public key in the folder of `coda train-cloud --keys`: models signed with another are refused.
            Without it whoever may write to the topic models says what the pool is encoded with.
        shards: Shards of the pool, fixed once it is there; 0 is one per process, those of all hosts.
        processes: Processes on this machine, and on each host; when one dies, all restart from the last snapshot.
        hosts: All machines of one dataflow, in one order, each as HOST:PORT; it takes that port and one more a process.
        host: Which of --hosts this machine is, from 0 on.
        match_every: A user is due for a match after this many new samples.
        candidates: Samples in a match, half of them of each label.
        random: Send as many random samples too, which every arm but cloud and local learns from.
        freshness_budget: A user is also due when the newest batch is older (event time; wall clock when idle).
        lateness: Event time that an event may lie behind the newest of its user; beyond, it is rejected as late.
        pool_age: Samples older than this (event time, as far as several users say it has come) leave the pool.
        pool_count: Samples that the pool holds at most, over all shards.
        min_users: A sample enters the pool once so many users took its item; 1 lets all in at once.
        users: Users whose histories are kept at most, 3 kB and more each; of more, those idle longest begin anew.
        user_age: Who did nothing for so long in event time begins anew as well.
        epoch: How often the state is saved: what a crash repeats, and how often positions reach Kafka.
        linger: No event waits longer for others, with which it shares a pass: shorter is fresher, for more CPU.
        metrics_port: Serve metrics on this port of 127.0.0.1, further processes on the ones after; 0 serves none.
        seed: Of the random samples.
    """
    if epoch.ms < _LEAST_EPOCH_MS:
        raise InputError(f"--epoch is {epoch}: give it at least {_LEAST_EPOCH_MS}ms")
    machines = _machines(hosts, host, processes)
    workers, parts = (machines.workers, len(machines.addresses)) if machines else (processes, 1)
    settings = FlowSettings(
        bootstrap=kafka.bootstrap,
        kafka_config=str(kafka.kafka_config.absolute()) if kafka.kafka_config else "",
        pool=str(pool.absolute()),  # the processes of a cluster run in another folder
        state=str(state.absolute()),
        cloud_key=str(cloud_key.absolute()) if cloud_key else "",
        shards=shards or workers,
        processes=workers,
        hosts=parts,
        match_every=match_every,
        candidates=candidates,
        random=random,
        freshness_budget_s=freshness_budget.s,
        lateness_s=lateness.s,
        window_days=pool_age.ms / DAY_MS,
        window_count=pool_count,
        min_users=min_users,
        users=users,
        user_days=user_age.ms / DAY_MS,
        epoch_ms=epoch.ms,
        linger_ms=linger.ms,
        metrics_port=metrics_port,
        seed=seed,
    ).checked()
    cluster = probe(kafka.bootstrap, properties=settings.kafka.properties)  # before anything is made on disk
    make_folder(state)
    with hold(state):
        prepare_state(state, machines.own if machines else 0, parts)
        check_pool(pool, state)
        stop = Stop()
        document = [sys.executable, "-m", "streams.flow.process", msgspec.json.encode(settings).decode()]
        if machines:
            with _meeting(machines, settings, cluster, state) as meeting:
                return supervise("dataflow", document, machines.numbers, meeting, stop)
        if processes > 1:
            return supervise("dataflow", document, range(processes), OneMachine(processes), stop)
        from streams.flow.process import run_process  # noqa: PLC0415 - torch, which a supervisor does not need

        run_process(settings, 0, [], stop)
        return stop.exit_code


def _machines(hosts: str, host: int | None, processes: int) -> Hosts | None:
    if hosts:
        return parse_hosts(hosts, host, processes)
    if host is not None:
        raise InputError(f"--host {host} says which of --hosts this is: give --hosts, too")
    return None


@contextmanager
def _meeting(hosts: Hosts, settings: FlowSettings, kafka: str, state: Path) -> Iterator[Meeting]:
    """This host's side of the meeting of all; raises `ConnectionFailed` when one of its ports is taken."""

    def hello() -> Hello:  # its state is another after each run
        return Hello(
            hosts=str(hosts),
            host=hosts.own,
            settings=common_settings(settings),
            kafka=kafka,
            state=state_name(state),
            begun=has_begun(state),
            progress=progress_of(state),
        )

    for number in hosts.numbers:
        listen(hosts.workers_at[number]).close()

    def settle(name: str, epoch: int | None) -> None:
        name_state(state, name)
        forget_uncounted(state, epoch)

    clock = SystemClock()
    meeting = Member(hosts, hello, clock, settle) if hosts.own else Chair(hosts, hello, clock, settle, new_name())
    try:
        yield meeting
    finally:
        meeting.close()
