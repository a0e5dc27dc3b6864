"""Ctrl-C that is never lost."""

import _thread
import sys
import threading
from typing import Any

_SOON_SECONDS = 0.02


def never_lose_interruptions() -> None:
    """Has KeyboardInterrupt raised again, shortly after, wherever Python would drop it.

    Python raises it at whatever the main thread does next. When that comes back from TensorFlow it
    is often a callback of a weak reference, whose exceptions are reported and dropped
    (sys.unraisablehook).
    """
    report = sys.unraisablehook

    def report_or_raise_again(dropped: Any) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            threading.Timer(_SOON_SECONDS, _thread.interrupt_main).start()
        else:
            report(dropped)

    sys.unraisablehook = report_or_raise_again
