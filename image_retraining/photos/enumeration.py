"""Many names or counts → the first few of them on one line."""

from collections.abc import Mapping, Sequence

from image_retraining.foundation.text import shown

_NAMED_AT_MOST = 5


def some_of(names: Sequence[str], at_most: int = _NAMED_AT_MOST) -> str:
    """Returns the first few names, and how many more there are."""
    more = len(names) - at_most
    return ", ".join(names[:at_most]) + (f" and {more} more" if more > 0 else "")


def by_label(counts: Mapping[str, int]) -> str:
    """Returns how many there are, and of which class; those in no class are of the label ''."""
    parts = [f"{shown(label)} ({count})" for label, count in counts.items() if label]
    return f"{sum(counts.values())}" + (f", in {some_of(parts)}" if parts else "")
