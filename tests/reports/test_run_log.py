"""run.log, by real lines of the log and real files."""

from datetime import datetime
from pathlib import Path

import pytest
from absl import logging

from image_retraining.foundation.errors import OutputError, PhotoError
from image_retraining.reports.run_log import RunLog


def lines_of(path: Path) -> list[str]:
    """Returns the lines without their time, which must be one."""
    lines = path.read_text().splitlines()
    for line in lines:
        datetime.strptime(line[:23], "%Y-%m-%d %H:%M:%S,%f")  # noqa: DTZ007 - local time
    return [line[24:] for line in lines]


def say_all() -> None:
    logging.debug("of no use")
    logging.info("all %s", "well")
    logging.warning("WARNING: odd")
    logging.error("bad")


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        (logging.INFO, ["all well", "WARNING: odd", "bad"]),
        (logging.WARNING, ["WARNING: odd", "bad"]),
        (logging.ERROR, ["bad"]),
        (logging.FATAL, []),
    ],
)
def test_the_file_has_all_lines_whatever_the_screen_shows(
    tmp_path: Path, logged: pytest.LogCaptureFixture, verbosity: int, shown: list[str]
) -> None:
    logging.set_verbosity(verbosity)
    with RunLog(str(tmp_path / "run.log"), ["--seed=3"]):
        say_all()
    assert logged.messages == shown
    first, *rest = lines_of(tmp_path / "run.log")
    assert first.startswith("INFO image-retraining 0.")
    assert first.endswith(": --seed=3")
    assert rest == ["INFO all well", "WARNING WARNING: odd", "ERROR bad"]
    say_all()
    assert logged.messages == [*shown, *shown]
    assert len(lines_of(tmp_path / "run.log")) == 4
    assert logging.get_verbosity() == verbosity


def test_what_is_of_use_to_debuggers_is_kept_when_it_is_shown(
    tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    logging.set_verbosity(logging.DEBUG)
    with RunLog(str(tmp_path / "run.log"), []):
        say_all()
    assert "DEBUG of no use" in lines_of(tmp_path / "run.log")
    assert logged.messages[0] == "of no use"


def test_earlier_runs_keep_their_lines(tmp_path: Path) -> None:
    # Once only with --resume: a mistyped --image_dir emptied the log of a finished run.
    for count in (2, 4, 6):
        with RunLog(str(tmp_path / "run.log"), []):
            logging.info("one")
        assert len(lines_of(tmp_path / "run.log")) == count


@pytest.mark.parametrize(
    ("error", "last"),
    [
        (PhotoError("No photos. Add some."), "ERROR No photos. Add some."),
        (KeyboardInterrupt(), "ERROR Interrupted."),
    ],
)
def test_what_a_run_dies_of_is_its_last_line(
    tmp_path: Path, logged: pytest.LogCaptureFixture, error: BaseException, last: str
) -> None:
    with pytest.raises(type(error)), RunLog(str(tmp_path / "run.log"), []):
        raise error
    assert lines_of(tmp_path / "run.log")[-1] == last
    # The screen is told by whoever ends the program.
    assert logged.messages == []


def test_a_defect_is_kept_with_its_place(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), RunLog(str(tmp_path / "run.log"), []):
        raise ZeroDivisionError
    assert "test_run_log.py" in (tmp_path / "run.log").read_text()


def test_names_that_are_not_utf8_are_escapes(tmp_path: Path) -> None:
    with RunLog(str(tmp_path / "run.log"), []):
        logging.info("%s", "ro\udcffse 玫瑰.jpg")
    assert lines_of(tmp_path / "run.log")[-1] == "INFO ro\\udcffse 玫瑰.jpg"


def test_a_folder_is_no_log(tmp_path: Path) -> None:
    with (
        pytest.raises(OutputError, match="cannot be written: Is a directory"),
        RunLog(str(tmp_path), []),
    ):
        raise AssertionError
    logging.info("still works")


def test_a_full_disk_is_told(logged: pytest.LogCaptureFixture) -> None:
    # A device of Linux on which there is never room.
    with (
        pytest.raises(OutputError, match=r"/dev/full cannot be written: No space left.*Make room"),
        RunLog("/dev/full", []),
    ):
        raise AssertionError
    logging.info("still works")
    assert logged.messages == ["still works"]
