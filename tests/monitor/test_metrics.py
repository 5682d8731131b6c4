import inspect

from device_sim import mqtt_failure, outcome
from device_sim.mqtt_failure import Failure
from monitor.metrics import VALUES
from streams.kafka import topics
from wire import outcome as reported
from wire.outcome import Outcome


def test_no_label_has_more_values_than_are_told() -> None:
    every = {**vars(outcome), **vars(reported)}.values()
    kinds = {each for each in every if inspect.isclass(each) and issubclass(each, Outcome)} - {Outcome}
    named = {each.reason for each in vars(mqtt_failure).values() if isinstance(each, Failure)}
    reasons = named | {reason for reason, *_ in (*mqtt_failure._CODES.values(), *mqtt_failure._ERRNOS.values())}
    found = {
        "what": len(kinds),
        "outcome": len({str(each) for kind in kinds for each in kind}),
        "reason": len(reasons),
        "group": sum(name.endswith("_GROUP") for name in vars(topics)),
    }
    assert {label: most for label, most in found.items() if most > int(VALUES[label])} == {}
