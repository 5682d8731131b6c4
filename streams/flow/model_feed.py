"""The cloud model to compute with, from the topic `models`: the newest of the lineage in use."""

from collections.abc import Iterable

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from models.artefact import model_from_bytes
from models.cloud_model import CloudModel
from monitor.metrics import Metrics
from streams.bus import BY_THE_WAY_MS, Bus, Message
from streams.kafka.topics import MODELS
from wire.clock import Clock
from wire.identity import ModelId
from wire.malformed import Malformed
from wire.model import identify_model
from wire.signing import open_model
from wire.succession import Offer, Succession, Verdict

_LOOK_EVERY_MS = 250  # a new version is minutes of training old; a quarter of a second more is nothing
_MORE_S = 0.05  # a backlog of versions comes in several fetches: only its last one is worth unpacking
_SAY_EVERY_MS = 10_000

_log = structlog.get_logger()


class ModelFeed:
    """Follows `models` with a consumer of its own; what does not check out, or may not follow what is in use, is told
    and passed over.

    `known` are the models that the pools at hand were encoded with, which only what follows all of them replaces;
    `public` is the key that models are signed with (None: any).
    Call `current` as often as you like: it asks Kafka at most four times a second, and blocks only for as long as it
    takes to read a version that is there.
    """

    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        metrics: Metrics,
        known: Iterable[ModelId] = (),
        public: Ed25519PublicKey | None = None,
    ) -> None:
        everywhere = dict.fromkeys(bus.bounds(MODELS))
        self._consumer = bus.consumer(
            "coda-model-feed", [MODELS], "earliest", assign=everywhere, within_ms=BY_THE_WAY_MS
        )
        self._succession, self._public = Succession(known), public
        self._model: CloudModel | None = None
        self._refused = ""  # the newest refusal
        self._clock, self._metrics = clock, metrics
        self._look_at_ms = self._say_at_ms = 0

    def current(self) -> CloudModel | None:
        """The newest version that may be computed with, or None before the first."""
        now_ms = self._clock.steady_ms()
        if now_ms >= self._look_at_ms:
            self._look_at_ms = now_ms + _LOOK_EVERY_MS
            self._look()
        if self._model is None and now_ms >= self._say_at_ms:
            self._say_at_ms = now_ms + _SAY_EVERY_MS
            _log.info(
                self._refused or "waiting for the first cloud model on the topic `models`: start `coda train-cloud`"
            )
        return self._model

    def close(self) -> None:
        """Let the connection go."""
        self._consumer.close()

    def _look(self) -> None:
        following: list[Message] = []
        more = self._consumer.poll(timeout_s=0)
        while more:
            following += filter(self._follows, more)  # as they lie there, not by clocks: so does the tunnel
            more = self._consumer.poll(timeout_s=_MORE_S)
        while following and not self._take(following.pop()):
            pass

    def _follows(self, message: Message) -> bool:
        """Whether the model may take the place of those known so far; then it is the one that is known."""
        try:
            offer = self._succession.offer(*identify_model(open_model(message.value, self._public)))
        except Malformed as error:
            self._damaged(message, error)
            return False
        if offer.verdict.refused:
            self._refuse(message, offer)
            return False
        return self._model is None or offer.verdict is Verdict.ADOPTED

    def _refuse(self, message: Message, offer: Offer) -> None:
        self._refused = offer.why
        if self._model is None and offer.verdict is Verdict.OLDER:
            return  # what the topic still has of before
        self._metrics.models_refused.labels(offer.verdict).inc()
        self._pass_over(message, offer.why)

    def _damaged(self, message: Message, error: Malformed) -> None:
        self._refused = str(error)
        self._metrics.models_refused.labels(error.reason).inc()
        self._pass_over(message, self._refused)

    def _pass_over(self, message: Message, why: str) -> None:
        kept = f"version {self._model.version}" if self._model else "waiting"
        _log.warning(f"passed over {MODELS}[{message.partition}] offset {message.offset}, {kept}: {why}")

    def _take(self, message: Message) -> bool:
        try:
            self._model = model_from_bytes(open_model(message.value, self._public))
        except Malformed as error:
            self._damaged(message, error)
            return False
        self._metrics.model_version.set(self._model.version)
        _log.info("cloud model", version=self._model.version, trained_until=self._model.trained_until)
        return True
