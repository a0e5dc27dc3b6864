"""run.log: every line of a run, whatever the screen shows."""

import contextlib
import logging
import platform
import sys
import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any, Self

from absl import logging as absl_logging

from image_retraining import __version__
from image_retraining.foundation.errors import (
    OutputError,
    RetrainError,
    VerificationError,
    unwritable,
)
from image_retraining.foundation.interruption import last_words
from image_retraining.foundation.text import shown

_FORMAT = "%(asctime)s %(levelname)s %(message)s"


class RunLog:
    """Keeps the lines of a run in a file, from INFO up, while it is entered.

    The screen shows what it showed before: lines go on to the root logger's handlers if they are as
    severe as absl's verbosity asks for.
    """

    def __init__(self, path: str, settings: Sequence[str]) -> None:
        """Takes where to write.

        Args:
            path: of the file; the lines of earlier runs stay in it.
            settings: what was asked for, to stand before the lines of this one.
        """
        self._path = path
        self._settings = settings
        self._logger = absl_logging.get_absl_logger()

    def __enter__(self) -> Self:
        try:
            # Names that are not UTF-8 are written as escapes.
            file = open(self._path, "a", encoding="utf-8", errors="backslashreplace")
        except OSError as error:
            raise unwritable(self._path, error) from error
        self._file = _FileHandler(file, self._path)
        self._file.setFormatter(logging.Formatter(_FORMAT))
        with contextlib.ExitStack() as undo:
            undo.callback(self._file.close)
            self._write(
                logging.INFO,
                f"image-retraining {__version__}, Python {platform.python_version()}, "
                f"{platform.platform()}: {shown(' '.join(self._settings))}",
            )
            self._take_over(undo)
            self._undo = undo.pop_all()
        return self

    def _take_over(self, undo: contextlib.ExitStack) -> None:
        """Puts the file and the screen in the place of what absl's lines went to."""
        logger = self._logger
        screen = _Screen(logger.getEffectiveLevel())
        undo.callback(setattr, logger, "propagate", logger.propagate)
        undo.callback(logger.setLevel, logger.level)
        logger.propagate = False
        logger.setLevel(min(logging.INFO, screen.level))
        for handler in (self._file, screen):
            logger.addHandler(handler)
            undo.callback(logger.removeHandler, handler)

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with self._undo:
            if error is not None:
                # What it would say of a full disk is being said already.
                with contextlib.suppress(OutputError):
                    self._write(logging.ERROR, _last_words(error))

    def _write(self, level: int, text: str) -> None:
        """Writes a line that the screen does not show."""
        self._file.handle(logging.LogRecord("retrain", level, "", 0, text, None, None))


class _FileHandler(logging.StreamHandler[Any]):
    """Writes to a file, whose errors are the run's."""

    def __init__(self, file: Any, path: str) -> None:
        super().__init__(file)
        self._path = path

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: ARG002, N802 - logging's name
        error = sys.exc_info()[1]
        if isinstance(error, OSError):
            raise unwritable(self._path, error) from error
        raise  # noqa: PLE0704 - the error that logging handles

    def close(self) -> None:
        # What a full disk left behind has been told when it was to be written.
        with contextlib.suppress(OSError):
            self.stream.close()
        super().close()


class _Screen(logging.Handler):
    """Hands lines on to where they went before, if they are severe enough."""

    def emit(self, record: logging.LogRecord) -> None:
        logging.getLogger().handle(record)


def _last_words(error: BaseException) -> str:
    """Returns what a run ends with: a line for what can be foreseen, else where it happened."""
    if isinstance(error, KeyboardInterrupt):
        return last_words(error)[0]
    if isinstance(error, RetrainError | VerificationError):
        return str(error)
    lines = "".join(traceback.format_exception(error)).splitlines()
    return "\n".join(map(shown, lines))
