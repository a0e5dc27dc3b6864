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
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# Reads a line of JSON for each process, and answers with its exit status when it has ended.
_SERVER = """
import gc, json, os, runpy, signal, sys
import image_retraining.labelling.labeller
import image_retraining.retraining.evaluating
import image_retraining.retraining.exporting
import image_retraining.retraining.extracting
import image_retraining.retraining.story
import image_retraining.retraining.training

# Else each would end with a second of looking for garbage in what TensorFlow is made of.
gc.freeze()
for line in sys.stdin:
    wanted = json.loads(line)
    process = os.fork()
    if process == 0:
        break
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
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
sys.argv = [wanted["script"], *wanted["arguments"]]
runpy.run_path(wanted["script"], run_name="__main__")
"""


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
    server = _server()
    assert server.stdin
    assert server.stdout
    with tempfile.NamedTemporaryFile() as out, tempfile.NamedTemporaryFile() as errors:
        wanted: dict[str, Any] = {
            "script": str(ROOT / script),
            "arguments": arguments,
            "environment": dict(os.environ if environment is None else environment),
            "streams": [
                *(os.fspath(stdin), os.fspath(stdout) or out.name, os.fspath(stderr) or errors.name)
            ],
        }
        server.stdin.write(json.dumps(wanted) + "\n")
        server.stdin.flush()
        status = int(server.stdout.readline())
        said = [file.read().decode(errors="surrogateescape") for file in (out, errors)]
    return subprocess.CompletedProcess([script, *arguments], status, *said)


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
