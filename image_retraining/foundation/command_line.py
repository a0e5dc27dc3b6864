"""Settings ↔ command line: what scripts share of flags, help, messages and exit codes.

Exit codes: 0 done, 2 the user can put it right, 130 interrupted (143 by SIGTERM, 129 by SIGHUP),
1 a defect of this project.
"""

import contextlib
import gc
import logging as python_logging
import os
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar

from absl import app, flags, logging

from image_retraining.foundation import importing, memory
from image_retraining.foundation.errors import RetrainError, SettingError, VerificationError
from image_retraining.foundation.help_text import help_text
from image_retraining.foundation.hub_settings import restore_hub_settings
from image_retraining.foundation.interruption import (
    interruptions_noted,
    last_words,
    note_interruptions,
)
from image_retraining.foundation.log_lines import show_lines
from image_retraining.foundation.settings import settings_of
from image_retraining.foundation.streams import open_standard_streams
from image_retraining.foundation.text import shown

_Result = TypeVar("_Result")

_DEFINERS: dict[type, Callable[..., Any]] = {
    bool: flags.DEFINE_boolean,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
}
_INTERRUPTED = 130
# Levels, handlers and the environment are those of the whole process.
_only_one = threading.Lock()


def run_script(
    run: Callable[[Any], int],
    config_class: type[Any],
    *,
    about: str,
    positional: str = "",
    former: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Runs a script from its command line and exits with its status; does not return.

    Args:
        run: does the work and returns the exit status.
        config_class: a dataclass of settings; becomes the flags, and what `run` is given.
        about: what the script does, for its help.
        positional: the repeatable setting that takes arguments without a flag, if any.
        former: flags of other scripts that people know → what to do instead.
    """
    importing.is_own_process = True
    open_standard_streams()
    show_lines()
    note_interruptions(of_machines=True)

    def parse(arguments: Sequence[str]) -> Any:
        if _asks_for_help(arguments):
            _guarded(lambda: _say(help_text(config_class, about)))
            sys.exit(0)
        return _guarded(lambda: _parse(config_class, arguments, positional), former)

    def main(config: Any) -> None:
        status = _guarded(lambda: run(config))
        # What is held back may not fit on a full disk.
        _guarded(sys.stdout.flush)
        # Else Python looks for garbage in what TensorFlow is made of, for a second at the end.
        gc.freeze()
        sys.exit(status)

    _define_flags(config_class)
    _guarded(lambda: app.run(main, flags_parser=parse))


@contextlib.contextmanager
def as_a_library(verbosity: str) -> Iterator[None]:
    """Lets the same work be done for a Python program, and leaves its process as it was.

    Args:
        verbosity: least severe lines to show, as --logging_verbosity has it. They go to the
            handlers that the program has set up; without any, to stderr.

    Raises:
        SettingError: another thread is doing such work.
    """
    if not _only_one.acquire(blocking=False):
        raise SettingError(
            "A program must train or export one classifier at a time. Got a second one, while "
            "another thread is at it. Wait until that has ended, or use another process."
        )
    with contextlib.ExitStack() as undo:
        undo.callback(_only_one.release)
        logger, root = logging.get_absl_logger(), python_logging.getLogger()
        undo.callback(logger.setLevel, logger.level)
        undo.callback(logging.set_verbosity, logging.get_verbosity())
        undo.callback(restore_hub_settings, dict(os.environ))
        if not root.handlers:
            handler = python_logging.StreamHandler()
            root.addHandler(handler)
            undo.callback(root.removeHandler, handler)
        undo.callback(show_lines())
        logging.set_verbosity(verbosity)
        with interruptions_noted():
            yield


def as_text(value: Any) -> Any:
    """Returns the value of a setting: paths as text, with the home folder for a tilde."""
    if isinstance(value, tuple):
        return tuple(as_text(part) for part in value)
    if isinstance(value, str | os.PathLike):
        return os.path.expanduser(os.fsdecode(value))
    return value


def _say(text: str) -> None:
    """Writes a text to stdout, now."""
    sys.stdout.write(text)
    sys.stdout.flush()


def _guarded(
    work: Callable[[], _Result], former: Mapping[str, str] = MappingProxyType({})
) -> _Result:
    """Returns what the work gives; what the user can put right ends in one plain line instead."""
    try:
        return work()
    except flags.UnrecognizedFlagError as error:
        hint = former.get(error.flagname)
        if hint:
            _exit_with(f"There is no --{error.flagname} here: {hint}", status=2)
        _exit_with(f"{error} --help lists the flags.", status=2)
    except flags.Error as error:
        _exit_with(f"{error} --help lists the flags.", status=2)
    except RetrainError as error:
        _exit_with(str(error), status=2)
    except VerificationError as error:
        _exit_with(str(error), status=1)
    except memory.exhaustion() as error:
        _exit_with(memory.told(error), status=2)
    except BrokenPipeError:
        # Whoever reads the output, as in `| head`, has had enough.
        sys.exit(_INTERRUPTED)
    except KeyboardInterrupt as error:
        words, status = last_words(error)
        _exit_with(words, status=status)


def _exit_with(message: str, *, status: int) -> NoReturn:
    sys.stderr.write(f"ERROR: {shown(message)}\n")
    sys.exit(status)


def _define_flags(config_class: type[Any]) -> None:
    for field in settings_of(config_class):
        default: Any = field.default
        # tensorflow_hub defines flags of its own on import; ours of that name stand until then.
        common = {"help": field.metadata["meaning"], "allow_override": True}
        if field.metadata["repeatable"]:
            flags.DEFINE_multi_string(field.name, list(default), **common)
        else:
            _DEFINERS[type(default)](field.name, default, **common)


def _parse(config_class: type[Any], arguments: Sequence[str], positional: str) -> Any:
    rest = flags.FLAGS(arguments)[1:]
    values: dict[str, Any] = {
        field.name: flags.FLAGS[field.name].value for field in settings_of(config_class)
    }
    named = frozenset(name for name in values if flags.FLAGS[name].present)
    if positional:
        values[positional] = (*(values[positional] or ()), *rest)
    elif rest:
        raise flags.Error(f"Every argument must be a flag. Got '{rest[0]}'.")
    # The shell leaves the tilde in --image_dir=~/photos as it is.
    values = {name: as_text(value) for name, value in values.items()}
    config = config_class(**values, named=named)
    if "logging_verbosity" in values:
        logging.set_verbosity(values["logging_verbosity"])
        _keep_libraries_quiet()
    return config


def _keep_libraries_quiet() -> None:
    """Keeps what libraries say of themselves for their makers from those who ask for DEBUG."""
    root = python_logging.getLogger()
    if root.level < python_logging.INFO:
        logging.get_absl_logger().setLevel(root.level)
        root.setLevel(python_logging.INFO)


def _asks_for_help(arguments: Sequence[str]) -> bool:
    before_rest = arguments[: arguments.index("--")] if "--" in arguments else arguments
    return any(argument in ("-h", "--help", "-help") for argument in before_rest)
