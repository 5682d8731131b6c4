"""What the hosts of one dataflow must have in common before it begins."""

from collections.abc import Sequence

from streams.flow.link import Hello
from streams.flow.settings import FlowSettings

# What is of a host's own: its folders, its way to Kafka, and what its processes show.
_OWN = {"bootstrap", "kafka_config", "pool", "state", "cloud_key", "metrics_port"}
_FLAGS = {"window_days": "pool-age", "window_count": "pool-count", "user_days": "user-age"}


def common_settings(settings: FlowSettings) -> dict[str, str | int | float | bool]:
    """Those that are the same on all hosts."""
    return {name: getattr(settings, name) for name in settings.__struct_fields__ if name not in _OWN}


def disagreement(zero: Hello, other: Hello) -> str:
    """Why `other` cannot take part in what host 0 was told to do; "" when it can."""
    if other.hosts != zero.hosts:
        return f"its --hosts are {other.hosts}, those of host 0 {zero.hosts}: give all hosts the same, in one order"
    if other.kafka != zero.kafka:
        return f"its Kafka is cluster {other.kafka}, that of host 0 {zero.kafka}: give all hosts the same --bootstrap"
    for name, value in zero.settings.items():
        if (its := other.settings.get(name)) != value:
            return f"its {_flag(name)} is {its}, that of host 0 {value}: give all hosts the same"
    return ""


def state_trouble(hellos: Sequence[Hello]) -> str:
    """Why the states on the disks of all hosts are not those of one dataflow; "" when they are, or none has begun."""
    if len({hello.state for hello in hellos}) == 1 or not any(hello.begun for hello in hellos):
        return ""
    known = next(hello.state for hello in hellos if hello.begun)
    without = [hello.host for hello in hellos if hello.state != known]
    return (
        f"the --state of host {', '.join(map(str, without))} is new or of another dataflow, and the others go on from "
        "theirs: give it back what it had, --state and --pool, or delete the --state of every host; the dataflow then "
        "reads again what Kafka still has, and pools take nothing twice"
    )


def _flag(name: str) -> str:
    """The flag of a setting.

    >>> _flag("freshness_budget_s"), _flag("window_days"), _flag("match_every")
    ('--freshness-budget', '--pool-age', '--match-every')
    """
    plain = _FLAGS.get(name, name.removesuffix("_s").removesuffix("_ms"))
    return f"--{plain.replace('_', '-')}"
