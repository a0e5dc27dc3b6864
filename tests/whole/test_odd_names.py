"""Names of folders, photos and modules that would steer a terminal, or begin another line."""

import re
import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from conftest import encoded, solid
from forks import run_script

# A colour, a title of the window, C1's own escape, text that runs to the left, a tab.
STEERS = ("\x1b[31m", "\x1b]0;title\x07", "\x9b2J", "\u202e", "\t")
LABELS = tuple(f"{steer}{letter}" for steer, letter in zip(STEERS, "abcde", strict=True))
# What no line may have; the line's end itself is taken off before.
CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029]")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, colour_module: Path) -> Path:
    """A folder with odd names throughout: `photos`, `module`, and where results go."""
    home = tmp_path_factory.mktemp("odd") / "\x1b[7mhome\n2"
    shutil.copytree(colour_module, home / "\x1b[1mmodule\n")
    for number, label in enumerate(LABELS):
        folder = home / "photos\x1b[8m" / label
        folder.mkdir(parents=True)
        for shade in range(20):
            colour = (10 * number + shade % 4, 30 * number, 200 - 3 * shade)
            (folder / f"\x1b[4m{shade}\n.png").write_bytes(encoded(solid(colour)))
        (folder / "\x1b[5mbroken\n.jpg").write_bytes(b"\xff\xd8\xff broken")
        (folder / "\x1b[6mphoto.cr2\n").touch()
        (folder / "\x1b[9mlink.jpg").symlink_to("\x1b[9mnowhere\n")
    (home / "photos\x1b[8m" / "\x1b[3mempty").mkdir()
    (home / "photos\x1b[8m" / "loose\x1b[3m.jpg").touch()
    return home


def ran(script: str, arguments: Sequence[str]) -> tuple[int, list[str]]:
    """Returns the exit status, and the lines that a person sees."""
    done = run_script(script, *arguments)
    lines = (done.stdout + done.stderr).split("\n")
    odd = [line for line in lines if CONTROL.search(line) or line.strip() in {"2", ".png"}]
    assert not odd, odd
    return done.returncode, lines


@pytest.fixture(scope="module")
def trained(home: Path) -> tuple[int, list[str]]:
    """The exit status of a run with most of what can be told, and its lines."""
    arguments = [
        f"--image_dir={home}/photos\x1b[8m",
        f"--tfhub_module={home}/\x1b[1mmodule\n",
        f"--bottleneck_dir={home}/cache\x1b[1m",
        f"--output_dir={home}/run\x1b[1m",
        "--how_many_training_steps=5",
        "--validation_percentage=20",
        "--testing_percentage=20",
        "--print_misclassified_test_images",
        "--label_issues_file=issues\x1b[1m.csv",
        "--metrics_file=metrics\x1b[1m.json",
        "--saved_model_dir=saved\x1b[1m",
        "--intermediate_store_frequency=2",
        "--calibrate",
    ]
    return ran("retrain.py", arguments)


def test_a_run_says_nothing_that_steers_a_terminal(
    home: Path, trained: tuple[int, list[str]]
) -> None:
    # Once: paths, and labels in some lines, were written as they are.
    status, lines = trained
    assert status == 0, lines[-5:]
    log = (home / "run\x1b[1m" / "run.log").read_bytes().decode()
    assert not [line for line in log.split("\n") if CONTROL.search(line)]
    for said in ("broken", "MISCLASSIFIED", "Save label issues", "Looking for images", "Try it"):
        assert said in "\n".join(lines), said
        assert said in log, said


@pytest.mark.usefixtures("trained")
@pytest.mark.parametrize("form", ["text", "json"])
def test_answers_say_nothing_that_steers_a_terminal(home: Path, form: str) -> None:
    shown = [str(home / "photos\x1b[8m" / LABELS[0]), str(home / "missing\x1b[1m\n.jpg")]
    graph = f"--graph={home}/run\x1b[1m"
    status, lines = ran("label_image.py", [graph, f"--format={form}", *shown])
    assert status == 2
    assert "\\x1b[31ma" in "\n".join(lines) or "\\u001b[31ma" in "\n".join(lines)


ERRORS = [
    ("retrain.py", ["--image_dir={}/missing\x1b[1m\n"]),
    ("retrain.py", ["--image_dir={}/photos\x1b[8m/\x1b[31ma"]),
    ("retrain.py", ["--image_dir=.", "--tfhub_module={}/missing\x1b[1m\n"]),
    ("retrain.py", ["--image_dir=.", "--summaries_dir=/proc/\x1b[1m\n"]),
    ("retrain.py", ["--image_dir=.", "--split=\x1b[1m\n"]),
    ("retrain.py", ["--image_dir=.", "--how_many_training_steps=\x1b[1m\n"]),
    ("retrain.py", ["--\x1b[1m\n"]),
    ("retrain.py", ["\x1b[1m\n"]),
    ("retrain.py", ["--cache_info", "--bottleneck_dir={}/missing\x1b[1m"]),
    ("label_image.py", ["--graph={}/missing\x1b[1m", "x.jpg"]),
    ("label_image.py", ["--graph={}/photos\x1b[8m", "x.jpg"]),
    ("label_image.py", ["--graph={}/photos\x1b[8m/loose\x1b[3m.jpg", "x.jpg"]),
]


@pytest.mark.parametrize(("script", "arguments"), ERRORS)
def test_no_error_steers_a_terminal(home: Path, script: str, arguments: list[str]) -> None:
    status, _ = ran(script, [part.replace("{}", str(home)) for part in arguments])
    assert status == 2


@pytest.mark.usefixtures("trained")
def test_what_the_cache_holds_is_told_without_steering(home: Path) -> None:
    told = ["--cache_info", f"--bottleneck_dir={home}/cache\x1b[1m"]
    assert ran("retrain.py", told)[0] == 0
