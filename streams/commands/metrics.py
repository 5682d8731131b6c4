"""`coda metrics`: what is measured, from the definitions themselves."""

import msgspec

from monitor.metrics import described


def command(*, json: bool = False) -> None:
    """Print each metric: its name in Prometheus and in the topic status, its kind, its labels, and what it means.

    No label takes more values than what is said of it; nothing is measured per device.

    Example

    ```
    coda metrics
    ```

    Args:
        json: Print one JSON document instead of lines.
    """
    found = described()
    if json:
        print(msgspec.json.encode(found).decode())
        return
    for each in found:
        labels = ", ".join(f"{label} ({how_many})" for label, how_many in each.labels.items())
        print(f"{each.name}  {each.kind}{f' by {labels}' if labels else ''}\n    {each.means}")
