"""What a person sees at a terminal, of whole runs of the scripts."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import draw_colours, encoded, hearing_signals, solid
from forks import ROOT, run_script
from terminals import Terminal

# Of absl's logger.
_PREFIX = re.compile(r"[IWEF]\d{4} \d\d:\d\d")


@pytest.fixture(scope="module")
def flags(tmp_path_factory: pytest.TempPathFactory, colour_module: Path) -> list[str]:
    """What a run is asked for whose photos are good, but for one, and some in a wrong folder."""
    folder = tmp_path_factory.mktemp("terminal")
    photos = draw_colours(folder / "photos")
    (photos / "red").rename(photos / "红色 🌹")
    for number in range(24):
        contents = encoded(solid((20, 30, 220), noise=40, seed=900 + number))
        (photos / "green" / f"odd{number}.png").write_bytes(contents)
    (photos / "blue" / "broken.png").write_bytes(b"\x89PNG no more")
    return [
        *(f"--image_dir={photos}", f"--tfhub_module={colour_module}"),
        *(f"--bottleneck_dir={folder / 'cache'}", "--how_many_training_steps=300"),
        *("--testing_percentage=30", "--cross_validate=-1"),
    ]


def run_at_terminal(flags: list[str], *more: str, columns: int = 80) -> tuple[int, list[str]]:
    """Returns the exit status, and the lines that are to be seen in the end."""
    terminal = Terminal(columns, 24)
    environment = {**os.environ, "TERM": "xterm"}
    done = run_script("retrain.py", *flags, *more, stderr=terminal.path, environment=environment)
    return done.returncode, terminal.end()


def test_a_run_is_about_a_screen_of_plain_words_and_the_log_has_all(
    flags: list[str], tmp_path: Path
) -> None:
    status, lines = run_at_terminal(flags, f"--output_dir={tmp_path / 'out'}", columns=100)
    text = "\n".join(lines)
    assert status == 0
    assert len(lines) < 45
    assert not [line for line in lines if _PREFIX.search(line) or "\\u" in line]
    log = (tmp_path / "out" / "run.log").read_text()
    # Figures and words of the promised lines, counted from the log alone.
    share, number = re.search(r"Final test accuracy = ([\d.]+)% \(N=(\d+)\)", log).groups()  # type: ignore[union-attr]
    count, right = int(number), round(float(share) * int(number) / 100)
    low, high = re.search(r"interval of the test accuracy: ([\d.]+)% to ([\d.]+)%", log).groups()  # type: ignore[union-attr]
    assert right < count
    assert f"Test: {right} of {count} right = {right / count * 100:.0f}% " in text
    assert f"(likely between {float(low):.0f}% and {float(high):.0f}%)" in text
    assert re.search(r"Most often mixed up: \d+ of \d+ green were taken for blue", text)
    assert re.search(r"^ {2}红色 🌹? +\d+ of \d+ +\d+ of \d+$", text, re.MULTILINE)
    assert "WARNING: 1 of 115 photos could not be read" in text
    assert re.search(r"^Module .* ready in [\d.]+ s \(", text, re.MULTILINE)
    assert re.search(r"kept the head of step \d+", text)
    flat = " ".join(line.strip() for line in lines)
    assert "read back from disk, it answers 31 testing photos" in flat
    # Nothing stands below what to do next.
    assert [line for line in lines[-3:] if line.startswith("Try it: ")]
    assert len(re.findall("WARNING: fewer than 5", text)) == 1
    assert f"Report: {tmp_path / 'out' / 'report.html'}" in flat
    # No bar is left, nor what went on meanwhile.
    assert not [line for line in lines if "steps/s" in line or "photos/s" in line]
    assert "Step 299: Train accuracy" in log
    assert "Step" not in text


@pytest.mark.parametrize(
    ("verbosity", "expected"),
    [
        ("WARN", ["WARNING: ", "Test: ", "Saved the graph as "]),
        ("ERROR", []),
        ("DEBUG", ["Final test accuracy = ", "Step 299: Train accuracy = "]),
    ],
)
def test_the_verbosity_says_how_much_is_shown(
    flags: list[str], tmp_path: Path, verbosity: str, expected: list[str]
) -> None:
    named = f"--logging_verbosity={verbosity}"
    status, lines = run_at_terminal(flags, f"--output_dir={tmp_path / 'out'}", named, columns=200)
    text = "\n".join(lines)
    assert status == 0
    for words in expected:
        assert words in text
    if not expected:
        assert lines == []
    if verbosity == "WARN":
        assert "Photos: " not in text
        assert "Report: " not in text


def test_a_narrow_terminal_shows_the_same(flags: list[str], tmp_path: Path) -> None:
    status, lines = run_at_terminal(flags, f"--output_dir={tmp_path / 'out'}", columns=36)
    assert status == 0
    assert "Test: " in "\n".join(lines)
    assert [line for line in lines if re.match(r" {2}blue +\d+ of \d+ ", line)]


def test_what_takes_long_is_told_and_ctrl_c_leaves_a_clean_screen(
    flags: list[str], tmp_path: Path
) -> None:
    terminal = Terminal(80, 24)
    command = [sys.executable, "retrain.py", *flags, f"--output_dir={tmp_path / 'out'}"]
    with (
        hearing_signals(),
        open(terminal.path, "wb") as device,
        subprocess.Popen(
            [*command, "--how_many_training_steps=1000000"],
            cwd=ROOT,
            stderr=device,
            env={**os.environ, "TERM": "xterm"},
        ) as process,
    ):
        seen: set[str] = set()
        until = time.monotonic() + 60
        while "Training" not in seen:
            assert time.monotonic() < until, terminal.lines
            now = "\n".join(terminal.lines)
            for what in ("Starting TensorFlow, ", "Training"):
                if re.search(rf"{what}.*(\d s|best [\d.]+% at \d+\])", now):
                    seen.add(what)
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
    assert process.returncode == 130
    lines = terminal.end()
    assert "Starting TensorFlow, " in seen
    assert lines[-1] == "ERROR: Interrupted."
    assert "--resume goes on" in " ".join(lines).replace("  ", "")
    assert not [line for line in lines if "steps/s" in line]


def test_label_image_tells_what_it_waits_for_and_answers_without_prefixes(
    flags: list[str], tmp_path: Path
) -> None:
    run_at_terminal(flags, f"--output_dir={tmp_path / 'out'}")
    photos = Path(flags[0].partition("=")[2])
    terminal, answers = Terminal(300, 24), tmp_path / "answers.txt"
    done = run_script(
        "label_image.py",
        *(f"--graph={tmp_path / 'out'}", f"--output={answers}", str(photos / "blue")),
        stderr=terminal.path,
        environment={**os.environ, "TERM": "xterm"},
    )
    lines = terminal.end()
    assert done.returncode == 2
    assert "Starting TensorFlow, " in terminal.written.decode()
    assert "Labelling:" in terminal.written.decode()
    assert [line.partition(" ")[0] for line in lines] == ["ERROR:", "Labelled"]
    assert "broken.png: Unknown image file format" in lines[0]
    assert lines[1].endswith(f"{answers}; 1 could not be read")
    assert not [line for line in lines if _PREFIX.search(line) or "photos/s" in line]
    assert answers.read_text().count("blue") >= 30
