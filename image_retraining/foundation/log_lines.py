"""Lines of the log: what is no visible character in one is an escape, whatever it was made of.

Labels, paths, and what libraries and servers say come from outside. One of them could steer the
terminal, or write a line that looks like one of this project's.
"""

import logging
from collections.abc import Callable
from typing import Any

from absl import logging as absl_logging

from image_retraining.foundation.text import shown

# Of a line's record.
_IS_NOTICE = "is_notice"


@absl_logging.skip_log_prefix
def notice(text: str, *values: Any) -> None:
    """Logs a line of INFO that a terminal shows as well: what is waited for, or was asked for."""
    absl_logging.info(text, *values, extra={_IS_NOTICE: True})


def is_for_people(record: logging.LogRecord) -> bool:
    """Whether a line is a notice, or more severe than INFO."""
    return record.levelno > logging.INFO or hasattr(record, _IS_NOTICE)


def show_lines() -> Callable[[], None]:
    """Sees to it, for the whole process; returns what ends it."""
    logger = absl_logging.get_absl_logger()
    logger.addFilter(_as_shown)
    return lambda: logger.removeFilter(_as_shown)


def _as_shown(record: logging.LogRecord) -> bool:
    record.msg, record.args = shown(record.getMessage()), None
    return True
