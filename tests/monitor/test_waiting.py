from structlog.testing import capture_logs

from monitor.waiting import Waiting


def test_a_wait_is_said_every_30_s_and_a_new_one_begins_when_it_is_over() -> None:
    now_ms = 0
    waiting = Waiting(lambda: now_ms)
    with capture_logs() as lines:
        for second in range(100):
            now_ms = 1000 * second
            if second == 70:
                waiting.over()
            waiting.go_on("the tunnel")
    assert [line["event"].rpartition(", ")[2] for line in lines] == ["for 30 s by now", "for 60 s by now"]
    assert all("waiting for the tunnel" in line["event"] for line in lines)
