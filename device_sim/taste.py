"""A user's taste as their device has learned it, by name and strongest first: for who looks at a simulated device.

Nothing is more personal, so it is part of no report: it can be looked at only where the device is.
"""

import msgspec


class Taste(msgspec.Struct, frozen=True):
    """What stands out of `samples` own samples beside the cloud model `version`, strongest first.

    `items` and `categories` by what the device adds to the cloud's logit, in nats: first those above 0, which its user
    takes more readily than the cloud expects of whoever has such a history. `returns` are items of which repeats say
    that who took them takes them again, and how often this user did. An item comes with the name of its category.
    """

    version: int
    samples: int
    items: list[tuple[str, str, float]]
    categories: list[tuple[str, float]]
    returns: list[tuple[str, str, int]]
