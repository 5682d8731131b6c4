"""Spans of time as a person reads them at a glance."""


def span(seconds: float | None) -> str:
    """Seconds in as few characters as tell enough; a dash where nothing is known.

    >>> span(0.0421), span(1.26), span(75), span(3700), span(200_000), span(None)
    ('42 ms', '1.3 s', '1 min 15 s', '1 h 1 min', '2 d 7 h', '–')
    """
    if seconds is None:
        return "–"
    if seconds < 0.9995:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    minutes, hours, days = int(seconds // 60), int(seconds // 3600), int(seconds // 86400)
    if days:
        return f"{days} d {hours % 24} h"
    if hours:
        return f"{hours} h {minutes % 60} min"
    return f"{minutes} min {int(seconds % 60)} s" if minutes else f"{seconds:.0f} s"


def ago(seconds: float | None) -> str:
    """How long ago that was.

    >>> ago(0.2), ago(12), ago(None)
    ('now', '12 s ago', 'never')
    """
    if seconds is None:
        return "never"
    return "now" if seconds < 3 else f"{span(seconds)} ago"
