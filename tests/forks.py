"""Scripts in processes of their own that need not start TensorFlow, which takes four seconds.

A process that has imported it is forked for each. What a script does before and while it imports
TensorFlow is for tests that start it themselves.
"""

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Reads a line of JSON for each process, and answers with its id; for an id, with the exit status
# when that process has ended.
_SERVER = """
import gc, importlib, json, os, runpy, signal, sys
import image_retraining.labelling.labeller
import image_retraining.retraining.evaluating
import image_retraining.retraining.exporting
import image_retraining.retraining.extracting
import image_retraining.retraining.story
import image_retraining.retraining.training

for line in sys.stdin:
    wanted = json.loads(line)
    if isinstance(wanted, int):
        print(os.waitstatus_to_exitcode(os.waitpid(wanted, 0)[1]), flush=True)
        continue
    for name in wanted["imports"]:
        importlib.import_module(name)
    # Else each would end with a second of looking for garbage in what TensorFlow is made of.
    gc.freeze()
    process = os.fork()
    if process == 0:
        break
    print(process, flush=True)
else:
    sys.exit()
signal.signal(signal.SIGINT, signal.default_int_handler)
os.environ.clear()
os.environ.update(wanted["environment"])
for number, path in enumerate(wanted["streams"]):
    os.dup2(os.open(path, os.O_RDWR | os.O_APPEND if number else os.O_RDONLY), number)
sys.stdin = open(0, closefd=False)
# Of other kinds than those that Python looked at when it started: a terminal cannot be sought in.
sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)
sys.stderr = sys.__stderr__ = open(2, "w", errors="backslashreplace", closefd=False)
sys.argv = wanted["arguments"]
exec(wanted["code"])
"""


class Fork:
    """A process that was forked.

    Attributes:
        pid: its id.
    """

    def __init__(
        self,
        code: str,
        arguments: Sequence[str],
        streams: Sequence[str | os.PathLike[str]],
        *,
        environment: Mapping[str, str] | None = None,
        imports: Sequence[str] = (),
    ) -> None:
        """Forks it.

        Args:
            code: what it does, in the top folder; of Python.
            arguments: its sys.argv.
            streams: the files that it reads from, and adds its standard output and error to.
            environment: its environment; None is that of the tests.
            imports: modules that are imported once for all that name them.
        """
        wanted: dict[str, Any] = {
            "code": code,
            "arguments": list(arguments),
            "streams": [os.fspath(stream) for stream in streams],
            "environment": dict(os.environ if environment is None else environment),
            "imports": list(imports),
        }
        self.pid = _answer(wanted)
        self._status: int | None = None

    def wait(self) -> int:
        """Waits for its end; the number of a signal that ended it is negative."""
        if self._status is None:
            self._status = _answer(self.pid)
        return self._status


def run_script(
    script: str,
    *arguments: str,
    stdin: str | os.PathLike[str] = os.devnull,
    stdout: str | os.PathLike[str] = "",
    stderr: str | os.PathLike[str] = "",
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Returns how a script ended that ran in the top folder, and what it wrote.

    Args:
        script: its name, or the whole path of one that lies elsewhere.
        arguments: of its command line.
        stdin: the file that is its standard input.
        stdout: the file or the device that its standard output is added to, instead of being kept.
        stderr: likewise its standard error.
        environment: its environment; None is that of the tests.
    """
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as errors:
        streams = (stdin, os.fspath(stdout) or out.name, os.fspath(stderr) or errors.name)
        status = start_script(script, *arguments, streams=streams, environment=environment).wait()
        said = [file.read().decode(errors="surrogateescape") for file in (out, errors)]
    return subprocess.CompletedProcess([script, *arguments], status, *said)


def start_script(
    script: str,
    *arguments: str,
    streams: Sequence[str | os.PathLike[str]],
    environment: Mapping[str, str] | None = None,
) -> Fork:
    """Returns a script's process, which runs; arguments as of run_script and Fork."""
    code = 'runpy.run_path(sys.argv[0], run_name="__main__")'
    return Fork(code, [str(ROOT / script), *arguments], streams, environment=environment)


def _answer(question: Any) -> int:
    server = _server()
    assert server.stdin
    assert server.stdout
    server.stdin.write(json.dumps(question) + "\n")
    server.stdin.flush()
    return int(server.stdout.readline())


@functools.cache
def _server() -> subprocess.Popen[str]:
    """Returns the process that is forked, which ends with this one."""
    server = subprocess.Popen(
        [sys.executable, "-c", _SERVER],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)
    return server
