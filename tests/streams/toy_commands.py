"""Commands for the tests of the command line: they print their settings, or fail the way they are told to."""

import sys
import time
from collections.abc import Callable

from streams.cli import Terminated
from streams.kafka.options import LOCAL_KAFKA, KafkaOptions
from streams.settings import AtLeast1, Devices, SomeTime
from streams.times import Duration
from wire.errors import ConnectionFailed, InputError

_FAILURES: dict[str, Callable[[], BaseException]] = {
    "input": lambda: InputError("the log is empty: give one with events"),
    "world": lambda: ConnectionFailed("no Kafka answers: start it"),
    "ctrl-c": KeyboardInterrupt,
    "sigterm": Terminated,
    "bug": lambda: ZeroDivisionError("ours"),
}


def command(
    *, kafka: KafkaOptions = LOCAL_KAFKA, seed: int = 0, fail: str = "", code: int = 0, wait: bool = False
) -> int:
    """Print the settings.

    ```
    coda train-toy --seed 3
    ```

    Args:
        seed: A number.
        fail: How to fail.
        code: What to return.
        wait: Wait for a signal.
    """
    sys.stdout.write(f"{kafka.bootstrap} {seed}\n")
    sys.stdout.flush()
    if fail:
        raise _FAILURES[fail]()
    for _ in range(600 if wait else 0):
        time.sleep(0.1)  # a signal just before a sleep begins is heard when that is over
    return code


def settings(*, devices: Devices = 800, delay: SomeTime = Duration.parse("5s"), processes: AtLeast1 = 1) -> None:
    """Print the settings.

    ```
    coda set-toy --delay 5s
    ```

    Args:
        devices: How many, or all.
        delay: How long.
        processes: How many.
    """
    sys.stdout.write(f"{devices} {delay} {processes}\n")
