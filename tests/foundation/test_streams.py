"""Standard streams that are closed or full, as shells hand them to real processes."""

import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
# Runs a script whose work is one line of Python.
ONE_LINE = """
import sys
from image_retraining.foundation.command_line import run_script
from image_retraining.retraining.config import RetrainConfig
def run(config):
    {line}
    return 0
run_script(run, RetrainConfig, about="About.")
"""
FULL = "/dev/full"
NO_ROOM = (
    "ERROR: Standard output cannot be written: No space left on device. Make room, or name "
    "another place.\n"
)


def shell(command: str, redirection: str) -> subprocess.CompletedProcess[str]:
    """Runs Python with arguments and a shell's redirection, stdout and stderr being two pipes."""
    return subprocess.run(
        ["/bin/bash", "-c", f"exec {shlex.quote(sys.executable)} {command} {redirection}"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def script(line: str) -> str:
    code = ONE_LINE.format(line=line)
    return f"-c {shlex.quote(code)}"


CLOSED = ["<&-", ">&-", "2>&-", "<&- >&-", "<&- 2>&-", ">&- 2>&-", "<&- >&- 2>&-"]


@pytest.mark.parametrize("redirection", [*CLOSED, f"2>{FULL}"])
@pytest.mark.parametrize("name", ["retrain.py", "label_image.py"])
def test_help_needs_only_what_it_writes_to(name: str, redirection: str) -> None:
    done = shell(f"{name} -h", redirection)
    assert done.returncode == 0
    assert ("--graph" in done.stdout) == (">&-" not in redirection.replace("2>&-", ""))
    assert done.stderr == ""


@pytest.mark.parametrize("name", ["retrain.py", "label_image.py"])
def test_help_on_a_full_disk_is_one_line(name: str) -> None:
    done = shell(f"{name} -h", f">{FULL}")
    assert (done.returncode, done.stderr) == (2, NO_ROOM)


@pytest.mark.parametrize("redirection", [*CLOSED, f"2>{FULL}", f">{FULL}"])
@pytest.mark.parametrize("name", ["retrain.py", "label_image.py"])
def test_a_mistake_ends_as_ever(name: str, redirection: str) -> None:
    done = shell(f"{name} --nope", redirection)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("ERROR: Unknown") == ("2>" not in redirection)


@pytest.mark.parametrize("redirection", [*CLOSED, f"2>{FULL}"])
def test_work_goes_on_without_its_streams(tmp_path: Path, redirection: str) -> None:
    note = tmp_path / "note"
    line = (
        "from absl import logging as l; l.info('logged'); l.warning('%s', 'warned'); "
        "print('printed'); sys.stderr.write('said'); l.info(repr(sys.stdin.read())); "
        f"open({str(note)!r}, 'w').write('done')"
    )
    done = shell(
        script(line), f"{redirection} </dev/null" if "<" not in redirection else redirection
    )
    assert done.returncode == 0
    assert note.read_text() == "done"
    assert "Traceback" not in done.stderr
    assert ("logged" in done.stderr) == ("2>" not in redirection)


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    # Once: the next file that is opened is number 2, and C++ writes its errors into it.
    file = tmp_path / "cache"
    line = (
        f"f = open({str(file)!r}, 'wb'); import os; os.write(2, b'from C++'); os.write(1, b'too'); "
        "f.write(b'%d' % f.fileno()); f.close()"
    )
    done = shell(script(line), "<&- >&- 2>&-")
    assert done.returncode == 0
    assert int(file.read_bytes()) > 2


@pytest.mark.parametrize(
    "line", ["print('x' * 100000)", "print('held back')", "print('flushed', flush=True)"]
)
def test_a_full_disk_is_one_line(line: str) -> None:
    done = shell(script(line), f">{FULL}")
    assert (done.returncode, done.stderr) == (2, NO_ROOM)


def test_a_terminal_that_went_away_is_no_crash() -> None:
    # Writing to it is an error then, as to a disk that is full.
    ours, theirs = os.openpty()
    code = ONE_LINE.format(line="sys.stdin.read(); sys.stderr.write('said'); sys.stderr.flush()")
    with subprocess.Popen(
        [sys.executable, "-c", code], cwd=REPOSITORY, stdin=subprocess.PIPE, stderr=theirs
    ) as process:
        os.close(theirs)
        os.close(ours)
        assert process.stdin
        process.stdin.close()
    assert process.returncode == 0
