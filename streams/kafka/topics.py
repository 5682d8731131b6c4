"""The Kafka topics and the consumer groups, by name; what each holds is in docs/architecture.md."""

UNSCORED = "unscored"  # for `coda score`: events before it is said what is expected of them
EVENTS = "events"
DEAD_LETTERS = "events.dlq"
BEHAVIOUR = "behaviour"  # replay --via devices: what simulated users do, before any device uploads it
SAMPLES = "samples"
REQUESTS = "requests"
CANDIDATES = "candidates"
MODELS = "models"
TASKS = "tasks"
TELEMETRY = "telemetry"
STATUS = "status"
TRACES = "traces"

TOPICS = (
    UNSCORED,
    EVENTS,
    DEAD_LETTERS,
    BEHAVIOUR,
    SAMPLES,
    REQUESTS,
    CANDIDATES,
    MODELS,
    TASKS,
    TELEMETRY,
    STATUS,
    TRACES,
)
COMPACTED = (MODELS, TASKS, STATUS)  # Kafka keeps only the newest of each key here, so offsets have gaps

# Groups under which positions are kept, or mirrored where the reader keeps its own (the flow).
SCORE_GROUP = "coda-score"
FLOW_GROUP = "coda-flow"
TUNNEL_GROUP = "coda-tunnel"
FLEET_GROUP = "coda-fleet"
TRAINER_GROUP = "coda-train-cloud"
# Nothing is kept by positions in these: one that is deleted and made anew is read from its beginning.
CONTROL = frozenset({REQUESTS, TELEMETRY, MODELS, TASKS, STATUS, TRACES})
