"""How many processors this process computes on: all of the machine, or as many as it was given."""

import os

_given = 0


def count() -> int:
    """Returns how many there are for this process."""
    return _given or os.cpu_count() or 1


def limit_to(given: int) -> None:
    """Lets this process compute on so many; said before TensorFlow is imported."""
    global _given  # noqa: PLW0603 - it is the process's
    _given = given


def given() -> int:
    """Returns how many this process was given, 0 where nobody has said."""
    return _given
