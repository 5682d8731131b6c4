"""The newest cloud model from the topic `models`, for whoever computes with it."""

import time

import structlog

from models.artefact import model_from_bytes
from models.cloud_model import CloudModel
from monitor import metrics
from streams.kafka.bounds import bounds
from streams.kafka.connection import KafkaSettings
from streams.kafka.consumer import BatchConsumer, Message
from streams.kafka.topics import MODELS
from wire.errors import ArtefactError

_LOOK_EVERY_S = 0.1  # a new version is minutes of training old; a tenth of a second more is nothing
_MORE_S = 0.05  # a backlog of versions comes in several fetches: only its last one is worth unpacking
_SAY_EVERY_S = 10

_log = structlog.get_logger()


class ModelFeed:
    """Follows `models` with a consumer of its own; a version that does not check out is told and passed over.

    Call `current` as often as you like: it asks Kafka at most ten times a second, and blocks only for as long as it
    takes to read a version that is there.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        everywhere = dict.fromkeys(bounds(settings, MODELS))
        self._consumer = BatchConsumer(settings, "coda-model-feed", [MODELS], "earliest", assign=everywhere)
        self._model: CloudModel | None = None
        self._looked_s = self._said_s = float("-inf")

    def current(self) -> CloudModel | None:
        """The newest valid version, or None before the first."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= _LOOK_EVERY_S:
            self._looked_s = now_s
            self._look()
        if self._model is None and now_s - self._said_s >= _SAY_EVERY_S:
            self._said_s = now_s
            _log.info("waiting for the first cloud model on the topic `models`: start `coda train-cloud`")
        return self._model

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()

    def _look(self) -> None:
        newest, more = None, self._consumer.poll(timeout_s=0)
        while more:
            newest = max(more, key=_age)
            more = self._consumer.poll(timeout_s=_MORE_S)
        if newest is not None:
            self._take(newest)

    def _take(self, message: Message) -> None:
        try:
            model = model_from_bytes(message.value)
        except ArtefactError as error:
            kept = f"version {self._model.version}" if self._model else "waiting"
            _log.warning(f"passed over {MODELS}[{message.partition}] offset {message.offset}, {kept}: {error}")
            return
        self._model = model
        metrics.model_version.set(model.version)
        _log.info("cloud model", version=model.version, trained_until=model.trained_until)


def _age(message: Message) -> tuple[int, int]:
    return message.timestamp_ms, message.offset
