"""The stages that an event passes, in order: whose input is whose output."""

# stage: the stage before it. The tree begins with what is produced; on each branch, a lag is passed on.
BEFORE = {
    "produced": None,
    "pooled": "produced",
    "matched": "pooled",
    "tunnelled": "matched",
    "pushed": "tunnelled",
    "predicted": "produced",
    "trained": "predicted",
    "learned": "pooled",
}


def path_to(stage: str) -> list[str]:
    """From the beginning to `stage`.

    >>> path_to("tunnelled")
    ['produced', 'pooled', 'matched', 'tunnelled']
    """
    before = BEFORE.get(stage)
    return [*(path_to(before) if before else []), stage]
