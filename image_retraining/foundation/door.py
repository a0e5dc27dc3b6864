"""What stands before all else: whether the packages are here that the scripts need.

Older Pythons read this file too, to say that they are too old; so it is written in what they know.
"""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import NoReturn

_OLDEST = (3, 11)
_STATUS = 2


@contextlib.contextmanager
def needing_packages() -> Iterator[None]:
    """Says what to do, and exits with 2, where Python is too old or a package is missing."""
    found = sys.version_info[:2]
    if found < _OLDEST:
        _exit(f"Python 3.11 or newer is needed. Got {found[0]}.{found[1]}, in {sys.executable}.")
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package == __name__.partition(".")[0]:
            raise
        _exit(f"The package {package} is needed. Got {sys.executable}, which has none.")


def _exit(problem: str) -> NoReturn:
    # It may be closed.
    if sys.stderr is not None:
        sys.stderr.write(
            f"ERROR: {problem} Use the environment that requirements.txt was installed into "
            "(source .venv/bin/activate), or make one: python3 -m venv .venv && .venv/bin/pip "
            "install -r requirements.txt\n"
        )
    sys.exit(_STATUS)
