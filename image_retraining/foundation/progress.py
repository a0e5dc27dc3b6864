"""How far long work is: a bar on a terminal, a log line now and then elsewhere."""

import sys
import threading
import time
from typing import Self

from tqdm.auto import tqdm

from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.screen import current_screen

_SECONDS_BETWEEN_LINES = 10.0
_COUNTED = "{desc}: {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}"
_BAR = f"{_COUNTED} [{{rate_fmt}}, {{remaining}} left]"
# Both the speed and a note would leave no room for the bar.
_BAR_WITH_NOTE = f"{_COUNTED} [{{remaining}} left{{postfix}}]"


class Progress:
    """Shows how many of a known number of things are done, how fast, and how long it will take."""

    def __init__(self, title: str, total: int, *, unit: str = "photos", shown: bool = True) -> None:
        """Starts at none of `total`.

        Args:
            title: what is going on.
            total: how many things there are to do.
            unit: what they are, in the plural.
            shown: whether they take long enough for a bar.
        """
        self._title = title
        self._total = total
        self._unit = unit
        self._done = 0
        self._lock = threading.Lock()
        self._started = self._last_line = time.monotonic()
        screen = current_screen()
        if screen is not None and shown:
            screen.now("")
        has_bar = shown and (screen.is_animated if screen else _shows_bars())
        self._bar = tqdm(
            total=total,
            desc=title,
            unit=f" {unit}",
            disable=not has_bar,
            dynamic_ncols=True,
            bar_format=_BAR,
            file=screen.stream if screen else None,
            # What came of it is told there.
            leave=screen is None,
        )
        self._in_lines = not has_bar

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the bar, as leaving does."""
        self._bar.close()

    def advance(self, count: int = 1) -> None:
        """Counts so many more as done; may be called from any thread."""
        with self._lock:
            self._advance(count)

    def has_left(self, count: int) -> None:
        """Counts all but so many as done, never fewer than before; from any thread as well."""
        with self._lock:
            self._advance(max(0, self._total - count - self._done))

    def note(self, text: str, *, at_once: bool = False) -> None:
        """Shows a text beside the bar, the next time that it moves or at once."""
        self._bar.bar_format = _BAR_WITH_NOTE
        self._bar.set_postfix_str(text, refresh=at_once)

    def _advance(self, count: int) -> None:
        self._done += count
        self._bar.update(count)
        now = time.monotonic()
        if self._in_lines and now - self._last_line >= _SECONDS_BETWEEN_LINES:
            self._last_line = now
            self._log_line(self._done / (now - self._started))

    def _log_line(self, rate: float) -> None:
        notice(
            "%s: %d of %d %s, %.0f %s/s, %s left",
            self._title,
            self._done,
            self._total,
            self._unit,
            rate,
            self._unit,
            tqdm.format_interval((self._total - self._done) / rate) if rate else "unknown time",
        )


def _shows_bars() -> bool:
    """Whether a person looks at a terminal or a notebook."""
    # Programs with windows have no stderr.
    if sys.stderr is None:
        return False
    return sys.stderr.isatty() or type(sys.stderr).__module__.partition(".")[0] == "ipykernel"
