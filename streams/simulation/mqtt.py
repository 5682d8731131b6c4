"""A simulated MQTT 5 broker and its clients: retained messages, last wills, shared subscriptions, QoS 1."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from device_sim.backoff import BASE_S, CAP_S
from streams.mqtt.broker import WINDOW, Received
from streams.simulation.dice import Die
from streams.simulation.journal import Journal
from streams.simulation.network import Network, Wire
from streams.simulation.timeline import Timeline
from wire.errors import ConnectionFailed

BACK_OFF_MS = (1000 * BASE_S, 1000 * CAP_S)


@dataclass(frozen=True, slots=True)
class _Retained:
    payload: bytes
    until_ms: int | None


def _forget(_: str) -> None:
    """Nobody wants to know."""


class Will(NamedTuple):
    """What the broker publishes for a client that is gone without a word; retained."""

    topic: str
    payload: bytes


class SimulatedBroker:
    """One broker, which is `up` or not; what it retained is lost with it, unless it is `persistent`."""

    address = "the simulated MQTT broker"

    def __init__(
        self, timeline: Timeline, network: Network, die: Die, journal: Journal, *, persistent: bool = True
    ) -> None:
        self.timeline, self.network, self.die, self.journal = timeline, network, die, journal
        self.persistent, self.up = persistent, True
        self.note: Callable[[str], object] = _forget  # is told of what is rare
        self.retained: dict[str, _Retained] = {}
        self.sessions: dict[str, Session] = {}

    def client(self, client_id: str, subscriptions: Sequence[str] = (), *, qos: int = 1) -> "SimulatedClient":
        """A client, not open yet."""
        del qos  # as good as QoS 1
        return SimulatedClient(self, client_id, subscriptions)

    def stop(self) -> None:
        """The broker dies: all connections end."""
        self.up = False
        for session in list(self.sessions.values()):
            session.wire.cut()
        self.sessions.clear()
        if not self.persistent and self.retained:
            self.retained.clear()
            self.note("a broker forgot what it retained")

    def start(self) -> None:
        """The broker is back."""
        self.up = True

    def accept(self, session: "Session") -> None:
        """A client connects; who had its id loses the connection."""
        if session.client_id in self.sessions:
            self.sessions[session.client_id].wire.cut()
        self.sessions[session.client_id] = session
        for topic, kept in list(self.retained.items()):
            if not session.wants(topic):
                continue
            if self._alive(topic, kept):
                session.deliver(topic, kept.payload, retained=True)
            else:
                self.note("a device came back with an expired batch")

    def gone(self, session: "Session", *, said: bool = False) -> None:
        """A connection ended; unless the client `said` so, its will is published."""
        if self.sessions.get(session.client_id) is session:
            del self.sessions[session.client_id]
        if session.will is not None and not said and self.up:
            self.publish(session.will.topic, session.will.payload, retain=True)
        session.will = None

    def publish(self, topic: str, payload: bytes, *, retain: bool = False, expiry_s: int | None = None) -> bool:
        """Take a message and give it to whoever subscribed; whether anybody did."""
        self.journal.message(self.timeline.now_ms, "mqtt", topic, payload)
        if retain:
            until_ms = None if expiry_s is None else self.timeline.now_ms + 1000 * expiry_s
            self.retained[topic] = _Retained(payload, until_ms)
        heard = False
        members: dict[str, list[Session]] = {}
        for session in list(self.sessions.values()):
            for subscription in session.subscriptions:
                if not matches(subscription, topic):
                    continue
                if subscription.startswith("$share/"):
                    members.setdefault(subscription, []).append(session)
                else:
                    session.deliver(topic, payload)
                    heard = True
                    break
        for several in members.values():
            self.die.pick(several).deliver(topic, payload)
        return heard or bool(members)

    def _alive(self, topic: str, kept: _Retained) -> bool:
        if kept.until_ms is None or kept.until_ms > self.timeline.now_ms:
            return True
        del self.retained[topic]
        return False


def matches(subscription: str, topic: str) -> bool:
    """Whether a topic is subscribed to.

    >>> matches("$share/g/coda/devices/+/ack", "coda/devices/ann/ack"), matches("a/+", "a/b/c")
    (True, False)
    """
    if subscription == topic:
        return True
    if subscription.startswith("$share/"):
        subscription = subscription.split("/", 2)[2]
    wanted, found = subscription.split("/"), topic.split("/")
    return len(wanted) == len(found) and all(w in ("+", f) for w, f in zip(wanted, found, strict=True))


class Session:
    """One connection as the broker sees it."""

    def __init__(
        self, client_id: str, subscriptions: Sequence[str], wire: Wire, receive: Callable[[str, bytes, bool], None]
    ) -> None:
        self.client_id, self.subscriptions, self.wire = client_id, list(subscriptions), wire
        self.will: Will | None = None
        self._receive = receive

    def wants(self, topic: str) -> bool:
        """Whether it gets what is retained on `topic`; shared subscriptions never do."""
        return any(not s.startswith("$share/") and matches(s, topic) for s in self.subscriptions)

    def deliver(self, topic: str, payload: bytes, *, retained: bool = False) -> None:
        """Send a message down."""
        self.wire.send(up=False, arrive=lambda: self._receive(topic, payload, retained))


@dataclass(eq=False, slots=True)
class _Publish:
    topic: str
    payload: bytes
    token: Any
    retain: bool
    until_ms: int | None


class SimulatedClient:
    """A client that comes back by itself, as `streams.mqtt.broker.Client` says; with `repeats` it publishes by itself,
    too, what was not confirmed, as devices do.

    `on_up` and `on_down` are told of its connection, `on_unheard` of a topic that nobody subscribes to, if the broker
    says so; with `on_message` messages go there, and not to `received`.
    """

    def __init__(
        self,
        broker: SimulatedBroker,
        client_id: str,
        subscriptions: Sequence[str],
        *,
        will: Will | None = None,
        on_up: Callable[[], None] = lambda: None,
        on_down: Callable[[], None] = lambda: None,
        on_unheard: Callable[[str], object] = _forget,
        on_message: Callable[[str, bytes], None] | None = None,
        repeats: bool = False,
    ) -> None:
        self.client_id, self.connections, self.connected = client_id, 0, False
        self._broker, self._subscriptions, self._will = broker, list(subscriptions), will
        self._on_up, self._on_down, self._on_unheard, self._on_message = on_up, on_down, on_unheard, on_message
        self._waiting: deque[_Publish] = deque()
        self._sent: deque[_Publish] = deque()
        self._taken: list[Any] = []
        self._received: deque[Received] = deque()
        self._attempts = 0
        self._closed = self._unplugged = False
        self._session: Session | None = None
        self._repeats = repeats
        self._resumed: Session | None = None  # the one that we publish to

    @property
    def unconfirmed(self) -> int:
        """How many publishes the broker has not confirmed."""
        return len(self._waiting) + len(self._sent)

    def open(self) -> None:
        """Begin to connect."""
        if not self._broker.up:
            raise ConnectionFailed(f"{self._broker.address} is away")
        self._dial()

    def begin(self) -> None:
        """Begin to connect, however long that takes."""
        self._dial()

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        token: Any = None,
        retain: bool = False,
        expiry_s: int | None = None,
        essential: bool = False,
    ) -> None:
        """Hand a message over."""
        del essential  # nothing is refused here
        if not self.unconfirmed:
            self._resumed = self._session  # there is nothing to repeat
        until_ms = None if expiry_s is None else self._broker.timeline.now_ms + 1000 * expiry_s
        self._waiting.append(_Publish(topic, payload, token, retain, until_ms))
        self._fill()

    def taken(self) -> list[Any]:
        """Tokens of what the broker has confirmed; sends what waits."""
        self._resume()
        taken, self._taken = self._taken, []
        return taken

    def refused(self) -> list[Any]:
        """Nothing is refused here."""
        return []

    def settle(self, timeout_s: float) -> bool:
        """Whether nothing is unconfirmed."""
        del timeout_s
        self._resume()
        return not self.unconfirmed

    def received(self, at_most: int, timeout_s: float = 0.0) -> list[Received]:
        """Messages that came in, oldest first."""
        del timeout_s
        return [self._received.popleft() for _ in range(min(at_most, len(self._received)))]

    def acknowledge(self, messages: Sequence[Received]) -> None:
        """Every connection is a new session: what was not acknowledged is not sent again."""

    def unsubscribe(self) -> None:
        """Ask for no more messages."""
        self._subscriptions = []
        if self._session is not None:
            self._session.subscriptions = []

    def start_over(self) -> list[Any]:
        """Forget what is unconfirmed and connect anew; tokens of what the broker has confirmed."""
        self._waiting.clear()
        self._sent.clear()
        self._end(said=True)
        self._later()
        taken, self._taken = self._taken, []
        return taken

    def unplug(self) -> None:
        """Break off, and connect no more until it is plugged in again."""
        if not self._unplugged:
            self._unplugged, was = True, self.connected
            self._end(said=False)
            if was:
                self._on_down()

    def plug_in(self) -> None:
        """Connect again, if it is unplugged."""
        if self._unplugged:
            self._unplugged, self._attempts = False, 0
            self._again()

    def close(self) -> None:
        """End the connection in order."""
        self._closed = True
        self._end(said=True)

    def kill(self) -> None:
        """The process is gone; its machine says so."""
        self._closed = True
        self._end(said=False)

    def _end(self, *, said: bool) -> None:
        session, self._session, self.connected = self._session, None, False
        if session is not None:
            session.wire.open = False
            self._broker.gone(session, said=said)

    def _dial(self) -> None:
        network = self._broker.network
        session = Session(self.client_id, self._subscriptions, self._wire(), self._receive)
        session.will = self._will
        self._session = session
        session.wire.send(up=True, arrive=lambda: self._accepted(session))
        network.timeline.after(10_000, lambda: self._give_up(session))

    def _wire(self) -> Wire:
        return self._broker.network.connect(self.client_id, self._lost, self._broker_lost)

    def _give_up(self, session: Session) -> None:
        """No answer to an attempt to connect."""
        if self._session is session and not self.connected and not self._closed:
            session.wire.open = False
            self._session = None
            self._later()

    def _accepted(self, session: Session) -> None:
        """At the broker."""
        if not self._broker.up:
            session.wire.cut()
            return
        self._broker.accept(session)
        session.wire.send(up=False, arrive=lambda: self._stands(session))

    def _stands(self, session: Session) -> None:
        if self._session is not session or self._closed:
            return
        self.connected, self._attempts = True, 0
        self.connections += 1
        self._on_up()
        if self._repeats:
            self._resume()

    def _resume(self) -> None:
        if self._resumed is not self._session:
            self._resumed = self._session
            self._waiting.extendleft(reversed(self._sent))
            self._sent.clear()
        self._fill()

    def _lost(self) -> None:
        """The client knows that its connection is gone."""
        if self._session is None or self._session.wire.open or self._closed:
            return
        was, self.connected, self._session = self.connected, False, None
        if was:
            self._on_down()
        self._later()

    def _broker_lost(self) -> None:
        for session in [s for s in self._broker.sessions.values() if s.client_id == self.client_id]:
            if not session.wire.open:
                self._broker.gone(session)

    def _later(self) -> None:
        if self._closed:
            return
        first, most = BACK_OFF_MS
        pause_ms = self._broker.die.about(min(first * 2**self._attempts, most))
        self._attempts += 1
        self._broker.timeline.after(pause_ms, self._again)

    def _again(self) -> None:
        if self._session is None and not self._closed and not self._unplugged:
            self._dial()

    def _fill(self) -> None:
        while self.connected and self._resumed is self._session and self._waiting and len(self._sent) < WINDOW:
            publish = self._waiting.popleft()
            self._sent.append(publish)
            assert self._session is not None, "it is connected"
            session = self._session
            session.wire.send(up=True, arrive=lambda p=publish, s=session: self._at_broker(p, s))  # type: ignore[misc]

    def _at_broker(self, publish: _Publish, session: Session) -> None:
        if not self._broker.up:
            return
        heard = True
        left_ms = None if publish.until_ms is None else publish.until_ms - self._broker.timeline.now_ms
        if left_ms is None or left_ms > 0:
            expiry_s = None if left_ms is None else -(-left_ms // 1000)
            heard = self._broker.publish(publish.topic, publish.payload, retain=publish.retain, expiry_s=expiry_s)
        said = heard or self._broker.die.chance(0.5)  # a broker need not say that nobody listens
        session.wire.send(up=False, arrive=lambda: self._confirmed(publish, unheard=not said))

    def _confirmed(self, publish: _Publish, *, unheard: bool) -> None:
        if publish in self._sent:
            self._sent.remove(publish)
            self._taken.append(publish.token)
            if unheard:
                self._on_unheard(publish.topic)
            self._fill()

    def _receive(self, topic: str, payload: bytes, retained: bool) -> None:
        if self._closed:
            return
        if self._on_message is not None:
            self._on_message(topic, payload)
        else:
            self._received.append(Received(topic, payload, retained, 0, self.connections))
