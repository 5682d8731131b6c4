"""Time, threads, clients and metrics come from outside: only the live shells listed here reach for them."""

import ast
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("wire", "models", "index", "operators", "monitor", "device_sim", "streams")

# Live by nature: each stands on a server, a process or a terminal, and nothing of it runs in the simulator.
LIVE = {
    "device_sim/mqtt_*.py": "the link over real connections, in an asyncio loop",
    "streams/child.py": "child processes",
    "streams/dashboard/*.py": "a command's room: a web server, and a thread that reads Kafka",
    "streams/doctor/*.py": "a command's room: looks at this machine and its servers",
    "streams/demo/*.py": "a command's room: processes and a terminal",
    "streams/faults/*.py": "a command's room: faults on real connections and processes",
    "streams/flow/process.py": "one process of the live dataflow",
    "streams/fleet/shell.py": "the live loop of a fleet",
    "streams/kafka/*.py": "Kafka as the bus",
    "streams/mqtt/*.py": "MQTT by paho",
    "streams/supervisor.py": "child processes",
    "streams/process/pulse.py": "says each second how a process is, in a thread",
    "streams/tunnel/room.py": "looks for room beside Bytewax, in a thread",
    "streams/tunnel/tunnel.py": "the live loops of a tunnel",
    "streams/commands/*.py": "the commands",
}
TIME = {
    **LIVE,
    "monitor/seldom.py": "paces log lines, which are no behaviour",
    "streams/evaluation/prequential.py": "charges devices for the processor time they took",
    "streams/simulation/campaign.py": "says how many seeds a minute it does",
    "streams/work_view.py": "paces what a terminal shows, and says what is left",
    "streams/replay/view.py": "paces what a terminal shows",
    "wire/clock.py": "the clock itself",
}
THREADS = {**LIVE, "wire/lookup.py": "a resolver that can't be interrupted"}

PROCESSES = {
    **{f"streams/commands/{name}.py": "a process" for name in ("canary", "pace", "replay", "score", "tunnel")},
    "streams/commands/fleet_process.py": "one process of a fleet",
    "streams/commands/train_cloud.py": "a process",
    "streams/evaluation/prequential.py": "all processes in one, looked at by nobody",
    "streams/faults/ordeal.py": "the process of `coda chaos`",
    "streams/flow/process.py": "one process of the live dataflow",
    "streams/simulation/world.py": "the processes of a simulation",
}

CALLS = {
    "Metrics()": PROCESSES,
    "prometheus_client.REGISTRY": {},
    "time.time": TIME,
    "time.time_ns": TIME,
    "time.monotonic": TIME,
    "time.monotonic_ns": TIME,
    "time.perf_counter": TIME,
    "time.process_time": TIME,
    "time.thread_time": TIME,
    "time.sleep": TIME,
    "datetime.now": TIME,
    "datetime.utcnow": TIME,
    "date.today": TIME,
    "asyncio.sleep": TIME,
    "threading.Thread": THREADS,
    "threading.Timer": THREADS,
    "ThreadPoolExecutor": THREADS,
    "asyncio.to_thread": THREADS,
    "SystemClock": LIVE,
    "KafkaBus": LIVE,
    "PahoBroker": LIVE,
    "BatchConsumer": LIVE,
    "CheckedProducer": LIVE,
    "GroupPositions": LIVE,
    "MqttClient": LIVE,
    "MqttLink": LIVE,
    "is_embedded": {
        "streams/kafka/*.py": "how the bus knows what it can do",
        "streams/doctor/*.py": "its topics have no settings to look at",
    },
}


def names_in(tree: ast.AST) -> Iterator[tuple[str, int]]:
    """Every dotted name that is read as a value, called, or imported, with its line; annotations are none."""
    annotations = {id(part) for node in ast.walk(tree) for part in _annotations(node)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Name | ast.Attribute) and id(node) not in annotations:
            yield ast.unparse(node), node.lineno
        elif isinstance(node, ast.Call):
            yield f"{ast.unparse(node.func)}()", node.lineno
        elif isinstance(node, ast.ImportFrom):
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def at_import(tree: ast.Module) -> Iterator[ast.AST]:
    """What runs when the module is imported: all but the bodies of functions."""
    waiting: list[ast.AST] = [tree]
    while waiting:
        yield (node := waiting.pop())
        body = node.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) else ()
        inner = {id(each) for each in (body if isinstance(body, list) else [body])}
        waiting += [child for child in ast.iter_child_nodes(node) if id(child) not in inner]


def _annotations(node: ast.AST) -> Iterator[ast.AST]:
    said = [getattr(node, "annotation", None), getattr(node, "returns", None)]
    for annotation in said:
        if annotation is not None:
            yield from ast.walk(annotation)


def breaches(source: str, path: str) -> list[str]:
    tree = ast.parse(source)
    globally = [node for node in at_import(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == "Metrics"]
    return [
        *(
            f"{path}:{line} uses {name}"
            for name, line in names_in(tree)
            if name in CALLS and not any(fnmatch(path, shell) for shell in CALLS[name])
        ),
        *(f"{path}:{node.lineno} makes metrics for whoever imports it" for node in globally),
    ]


def test_no_module_below_the_commands_makes_time_threads_or_clients_of_its_own() -> None:
    modules = [path for room in ROOMS for path in sorted((ROOT / room).rglob("*.py"))]
    found = [each for path in modules for each in breaches(path.read_text(), path.relative_to(ROOT).as_posix())]
    assert found == [], (
        "take a clock, a bus, a broker, hands or metrics from outside, or be a live shell listed in this test"
    )


def test_every_shell_that_is_listed_is_there() -> None:
    listed = {pattern for shells in CALLS.values() for pattern in shells}
    assert [pattern for pattern in listed if not list(ROOT.glob(pattern))] == []


@pytest.mark.parametrize(
    ("source", "caught"),
    [
        ("METRICS = Metrics()", True),
        ("class A:\n    metrics = Metrics()", True),
        ("def f(metrics=Metrics()): ...", True),
        ("def f():\n    return Metrics()", True),
        ("def f(metrics: Metrics): return Metrics.pooled.name", False),
        ("from prometheus_client import REGISTRY", True),
        ("import time\ntime.sleep(1)", True),
        ("import time\ndef f(clock=time.monotonic): ...", True),
        ("from threading import Thread", True),
        ("def f(consumer: BatchConsumer) -> KafkaBus: ...", False),
        ("clock.steady_ms()", False),
    ],
)
def test_what_is_caught(source: str, *, caught: bool) -> None:
    assert bool(breaches(source, "streams/new.py")) == caught


@pytest.mark.parametrize(
    ("source", "caught"), [("METRICS = Metrics()", True), ("def run():\n    metrics = Metrics()", False)]
)
def test_a_process_makes_its_metrics_when_it_begins(source: str, *, caught: bool) -> None:
    assert bool(breaches(source, "streams/commands/fleet_process.py")) == caught
