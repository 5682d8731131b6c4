import sys
import threading
import time
from pathlib import Path

import pytest

from streams.flow.timer_slack import be_drowsy, be_exact


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has it")
def test_a_thread_may_be_woken_late_and_what_it_starts_is_exact_again_once_it_asks() -> None:
    found: list[int] = []

    def slack_ns() -> int:
        return int(Path(f"/proc/{threading.get_native_id()}/timerslack_ns").read_text())

    def work() -> None:
        be_exact()
        found.append(slack_ns())
        time.sleep(0.001)

    before_ns = slack_ns()
    be_drowsy()
    try:
        assert slack_ns() > 1000 * before_ns
        worker = threading.Thread(target=work)
        worker.start()
        worker.join()
    finally:
        be_exact()
    assert found == [before_ns] and slack_ns() == before_ns
