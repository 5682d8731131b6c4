"""What an observer outside sees of a simulation: everything that is on Kafka, told apart as it arrives."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from streams.bus import Message, Partition
from streams.kafka.topics import CANDIDATES, DEAD_LETTERS, EVENTS, MODELS, SAMPLES, TELEMETRY
from streams.simulation.trainer import PUBLIC
from wire.batch import decode_batch
from wire.candidates import CandidateBatch
from wire.event import Event, decode_event
from wire.identity import ModelId
from wire.ids import sample_key
from wire.malformed import Malformed
from wire.model import identify_model
from wire.sample import SampleRecord, decode_record
from wire.signing import open_model
from wire.telemetry import Training, decode_report


@dataclass
class Seen:
    """`events` by id; `refused` event ids with the reason; `samples` by key, each distinct one once.

    `standing` says by event id where in `events` copies lie that were not refused.
    """

    events: dict[str, Event] = field(default_factory=dict)  # in the order in which they came first
    refused: dict[str, str] = field(default_factory=dict)
    standing: defaultdict[str, set[tuple[int, int]]] = field(default_factory=lambda: defaultdict(set))
    samples: dict[int, set[SampleRecord]] = field(default_factory=dict)
    batches: list[CandidateBatch] = field(default_factory=list)
    newest: dict[str, CandidateBatch] = field(default_factory=dict)  # of those, by user the last to come
    places: dict[str, tuple[Partition, int]] = field(default_factory=dict)  # where in Kafka that is
    reports: list[Training] = field(default_factory=list)
    models: set[ModelId] = field(default_factory=set)
    messages: Counter[str] = field(default_factory=Counter)
    ids: dict[int, str] = field(default_factory=dict)  # event ids by sample key

    def take(self, message: Message) -> None:
        """One more message is there."""
        self.messages[message.topic] += 1
        try:
            self._take(message)
        except Malformed:
            self.messages[f"{message.topic} malformed"] += 1

    def rare(self, min_users: int) -> set[str]:
        """Items of which there are samples or would be, and that fewer users took than `min_users`."""
        takers = defaultdict[str, set[str]](set)
        for event in self.events.values():
            taken = self.refused.get(event.event_id) in (None, "window") or sample_key(event.event_id) in self.samples
            if taken or self.standing.get(event.event_id):  # of one that came twice, one copy may be refused alone
                takers[event.item_id] |= {event.user_id} if event.label else set()
        return {item for item, users in takers.items() if len(users) < min_users} if min_users > 1 else set()

    def _take(self, message: Message) -> None:
        match message.topic:
            case topic if topic == EVENTS:
                event = decode_event(message.value)
                self.events.setdefault(event.event_id, event)
                self.standing[event.event_id].add((message.partition, message.offset))
                self.ids[sample_key(event.event_id)] = event.event_id
            case topic if topic == DEAD_LETTERS:
                self._take_refused(message)
            case topic if topic == SAMPLES:
                record = decode_record(message.value)
                self.samples.setdefault(record.sample, set()).add(record)
            case topic if topic == CANDIDATES:
                batch = decode_batch(message.value)
                self.batches.append(batch)
                self.newest[batch.user_id] = batch
                self.places[batch.user_id] = (message.topic, message.partition), message.offset
            case topic if topic == MODELS:
                self.models.add(identify_model(open_model(message.value, PUBLIC))[0])
            case topic if topic == TELEMETRY:
                report = decode_report(message.value)
                if isinstance(report, Training):
                    self.reports.append(report)

    def _take_refused(self, message: Message) -> None:
        reason = message.headers["reason"].decode()
        try:
            event_id = decode_event(message.value).event_id
            self.standing[event_id].discard((int(message.headers["partition"]), int(message.headers["offset"])))
        except Malformed:
            # out of the pool's window: the sample, not the event
            event_id = self.ids.get(decode_record(message.value).sample, "")
        self.refused[event_id] = reason
