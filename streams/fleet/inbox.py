"""What comes over the link, handed to the devices; models and tasks are opened here, once for all of them."""

from collections.abc import Callable
from pathlib import Path

import structlog

from device_sim.fleet import Fleet
from device_sim.link import Arrival
from device_sim.outcome import Models, Tasks
from models.artefact import model_from_bytes
from wire.malformed import Malformed
from wire.reason import Reason
from wire.signing import load_public_key, open_model, open_task

log = structlog.get_logger(__name__)


class Inbox:
    """Of a fleet whose models and tasks the key in the file `cloud_key` signs."""

    def __init__(self, fleet: Fleet, cloud_key: Path) -> None:
        self._fleet, self._cloud_key = fleet, cloud_key
        self._kinds: dict[str, Callable[[Arrival, int], None]] = {
            "up": lambda arrival, now_ms: fleet.connected(arrival.user_id, now_ms),
            "down": lambda arrival, now_ms: fleet.link_lost(arrival.user_id, now_ms),
            "unheard": lambda arrival, now_ms: fleet.unheard(arrival.user_id, now_ms),
            "candidates": lambda arrival, now_ms: fleet.deliver_batch(arrival.user_id, arrival.payload, now_ms),
            "receipts": lambda arrival, now_ms: fleet.deliver_receipt(arrival.user_id, arrival.payload, now_ms),
            "model": self._model,
            "task": self._task,
        }

    def take(self, arrival: Arrival, now_ms: int) -> None:
        """Hand it on, unless its device has retired."""
        if not arrival.user_id or arrival.user_id in self._fleet.devices:
            self._kinds[arrival.kind](arrival, now_ms)

    def _model(self, arrival: Arrival, now_ms: int) -> None:
        try:
            model = model_from_bytes(open_model(arrival.payload, load_public_key(self._cloud_key)))
        except Malformed as error:
            self._fleet.count(Models.UNSIGNED if error.reason == Reason.UNSIGNED else Models.REFUSED)
            log.warning(f"passed over a cloud model: {error}")
            return
        self._fleet.deliver_model(model, len(arrival.payload), now_ms)
        if self._fleet.offer.model is model:
            log.info("cloud model", version=model.version, trained_until=model.trained_until)

    def _task(self, arrival: Arrival, now_ms: int) -> None:
        try:
            task = open_task(arrival.payload, load_public_key(self._cloud_key))
        except Malformed as error:
            self._fleet.count(Tasks.UNSIGNED if error.reason == Reason.UNSIGNED else Tasks.REFUSED)
            log.warning(f"passed over a task: {error}")
            return
        self._fleet.deliver_task(task, len(arrival.payload), now_ms)
        log.info("task", version=task.task_version, rollout_percent=task.rollout_percent)
