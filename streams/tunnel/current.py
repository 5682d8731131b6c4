"""What all devices are to have: the newest cloud model and the newest task (sans-I/O)."""

import structlog
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from device_sim import topics as mqtt_topics
from monitor.metrics import Metrics
from streams.bus import Message
from streams.kafka.topics import MODELS, TASKS
from wire.malformed import Malformed
from wire.model import decode_model, identify_model
from wire.reason import Reason
from wire.signing import open_model, open_task
from wire.succession import Succession

log = structlog.get_logger(__name__)

CURRENT = {MODELS: mqtt_topics.MODEL, TASKS: mqtt_topics.TASK}


class Current:
    """`retained` is what the MQTT broker is to have, by its topic; `versions` counts what passed, by Kafka's.

    What the key of `public` did not sign is refused (None: whoever signed it), and what does not check out.
    """

    def __init__(self, metrics: Metrics, public: Ed25519PublicKey | None) -> None:
        self.versions = dict.fromkeys(CURRENT, 0)
        self.retained: dict[str, bytes] = {}
        self._metrics, self._public = metrics, public
        self._succession = Succession()

    def take(self, message: Message) -> str | None:
        """The MQTT topic that has something new now; None for what is passed over, with a line and counted."""
        document = self._opened(message)
        if document is None or not self._follows(message, document):
            return None
        topic = CURRENT[message.topic]
        self.retained[topic] = message.value
        self.versions[message.topic] += 1
        return topic

    def _opened(self, message: Message) -> bytes | None:
        """What was signed, if it may take the place of what is retained: devices that come later get nothing else."""
        try:
            if message.topic == MODELS:
                decode_model(document := open_model(message.value, self._public))
                return document
            open_task(message.value, self._public)
            return message.value
        except Malformed as error:
            refused = error.reason if error.reason == Reason.UNSIGNED else "malformed"
            self._metrics.tunnel_rejected.labels(f"{refused}_{error.kind}").inc()
            log.error(f"passed over {message.topic}[{message.partition}] offset {message.offset}: {error}")
            return None

    def _follows(self, message: Message, document: bytes) -> bool:
        """Whether a model may take the place of the one before it on the topic; the tunnel knows no other."""
        if message.topic != MODELS:
            return True
        offer = self._succession.offer(*identify_model(document))
        if offer.verdict.refused:
            self._metrics.models_refused.labels(offer.verdict).inc()
            log.error(f"passed over {message.topic}[{message.partition}] offset {message.offset}: {offer.why}")
        return not offer.verdict.refused
