"""Statuses as processes would say them."""

from typing import Any

from wire.status import Frontier, Role, Status


def status(role: Role = Role.FLOW, name: str = "0", *, at_s: float, boot: int = 0, **said: Any) -> Status:
    """What a process says `at_s` seconds."""
    ms = int(at_s * 1000)
    return Status(role=role, name=name, boot=boot, sequence=ms, said_ms=ms, **said)


def pooled(count: float) -> dict[str, dict[str, float]]:
    return {"coda_samples_pooled_total": {"": count}}


def frontier(
    stage: str, position: int, end: int, until_s: float, *, partition: int = 0, event_ms: int = -1
) -> Frontier:
    return Frontier(stage, partition, position, end, int(until_s * 1000), event_ms)
