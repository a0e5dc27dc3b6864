"""What stands before all else: whether the packages are here that the scripts need, and Ctrl-C.

Older Pythons read this file too, to say that they are too old; so it is written in what they know.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

_OLDEST = (3, 11)
_STATUS = 2


@contextlib.contextmanager
def needing_packages() -> Iterator[None]:
    """Says what to do, and exits with 2, where Python is too old or a package is missing.

    Ctrl-C ends the process at once until the script has begun, for it has nothing to lose yet.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, leave_at_once)
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


def leave_at_once(number: int, _: FrameType | None) -> NoReturn:
    """Handles a signal: says so, and ends the process with the status that shells give it."""
    # It may be closed.
    with contextlib.suppress(OSError):
        os.write(2, b"ERROR: Interrupted.\n")
    os._exit(128 + number)


def _exit(problem: str) -> NoReturn:
    # It may be closed.
    if sys.stderr is not None:
        sys.stderr.write(
            f"ERROR: {problem} Use the environment that requirements.txt was installed into "
            "(source .venv/bin/activate), or make one: python3 -m venv .venv && .venv/bin/pip "
            "install -r requirements.txt\n"
        )
    sys.exit(_STATUS)
