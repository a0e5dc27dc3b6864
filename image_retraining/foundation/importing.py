"""Large libraries, imported when they are needed: without chatter, and what nobody needs."""

import contextlib
import gc
import importlib.util
import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator

from image_retraining.foundation import memory, processors
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.quiet import stderr_into, write_to_stderr

# Whether this process was started for a script of ours, and is no program that uses the package.
is_own_process = False

# The environment is that of the whole process.
_one_import = threading.Lock()
_CHATTER = re.compile(r"I\d{4} |WARNING: All log messages before absl::InitializeLog")


def import_tensorflow() -> None:
    """Imports TensorFlow without its start-up chatter, of which TF_CPP_MIN_LOG_LEVEL stops none.

    What it writes to stderr meanwhile is shown afterwards, save lines of mere information. Whoever
    sets TF_CPP_MIN_LOG_LEVEL sees everything.

    Raises:
        SettingError: there is no folder for temporary files, which what follows needs, or no room
            for TensorFlow under `ulimit -v`.
    """
    _check_temporary_folder()
    memory.check_address_space()
    # What is put into the environment must be taken out of it by the same thread.
    with _one_import, _without_garbage(), _without_keras():
        _tell_of_processors()
        if "TF_CPP_MIN_LOG_LEVEL" in os.environ:
            importlib.import_module("tensorflow")
        else:
            _import_silently("tensorflow")


def keep_onnxruntime_silent() -> None:
    """Keeps ONNX Runtime, before its import, from reporting its use over the network.

    Nor does it put a number for the machine into the cache folder then. What a person has said of
    it in the environment stands.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")


@contextlib.contextmanager
def _without_garbage() -> Iterator[None]:
    """Keeps Python, in a process of our own, from looking for garbage among what is imported.

    All of it stays. Looking takes a fifth of the time, and the same again whenever all objects are
    looked through later.
    """
    if not is_own_process:
        yield
        return
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


@contextlib.contextmanager
def _without_keras() -> Iterator[None]:
    """Lets TensorFlow be imported without Keras, in a process of our own, until it is asked for.

    It imports Keras at its end, and does without where there is none. Keras brings scikit-learn,
    much of SciPy and pandas along: half of the time. So does it without SciPy, for which only its
    own older Keras looks.
    """
    if not is_own_process or {"tensorflow", "keras"} & set(sys.modules):
        yield
        return
    withheld = {"keras", "scipy"} - set(sys.modules)
    # What importing them looks for: None is no module.
    sys.modules.update(dict.fromkeys(withheld))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in withheld:
            del sys.modules[name]
        tensorflow = sys.modules.get("tensorflow")
        if tensorflow is not None:
            # Where `import tensorflow.keras` would look for it, had it been there.
            tensorflow.__path__ = [place for place in tensorflow.__path__ if place is not None]
            found = importlib.util.find_spec("keras")
            if found is not None and found.origin:
                tensorflow.__path__.insert(
                    0, os.path.join(os.path.dirname(found.origin), "_tf_keras")
                )


def _tell_of_processors() -> None:
    """Tells TensorFlow how many processors this process was given, if somebody has said.

    It reads it at its first computation, and of `tf.config.threading` sessions know nothing.
    """
    if processors.given():
        for pool in ("TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ.setdefault(pool, str(processors.given()))


def _import_silently(library: str) -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    with tempfile.TemporaryFile() as held_back:
        try:
            with stderr_into(held_back):
                importlib.import_module(library)
        finally:
            held_back.seek(0)
            for line in held_back.read().decode(errors="replace").splitlines(keepends=True):
                if not _CHATTER.match(line):
                    write_to_stderr(line)
            # It is read once; processes that are started from here have their own.
            del os.environ["TF_CPP_MIN_LOG_LEVEL"]


def _check_temporary_folder() -> None:
    try:
        tempfile.gettempdir()
    except OSError as error:
        raise SettingError(
            "There must be a folder for temporary files that can be written to; TMPDIR names one. "
            f"Got none: {error.strerror}."
        ) from error
