"""The scripts as a person meets them: each test starts a process, few of them TensorFlow."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from import_bottlenecks import ImportConfig

from image_retraining.labelling.config import LabelConfig
from image_retraining.retraining.config import RetrainConfig

REPOSITORY = Path(__file__).resolve().parents[2]
SCRIPTS: dict[str, type[Any]] = {
    "retrain.py": RetrainConfig,
    "label_image.py": LabelConfig,
    "tools/import_bottlenecks.py": ImportConfig,
}

# Runs a script whose work is one line of Python.
ONE_LINE = """
import sys
from image_retraining.foundation.command_line import run_script
from image_retraining.retraining.config import RetrainConfig
from image_retraining.labelling.config import LabelConfig
from image_retraining.foundation.errors import *
def run(config):
    {line}
    return 0
run_script(run, {config}, about="About %d.", positional={positional!r})
"""


def python(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs Python in the repository, without what these tests' own process has set."""
    inherited = {k: v for k, v in os.environ.items() if k != "TF_CPP_MIN_LOG_LEVEL"}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=REPOSITORY,
        env={**inherited, **environment},
        capture_output=True,
        encoding="utf-8",
        check=False,
        timeout=60,
    )


def retrain_with(line: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = ONE_LINE.format(line=line, config="RetrainConfig", positional="")
    return python("-c", code, *arguments, **env)


def label_with(line: str, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    code = ONE_LINE.format(line=line, config="LabelConfig", positional="image")
    return python("-c", code, *arguments, **env)


def the_error(process: subprocess.CompletedProcess[str], *, status: int = 2) -> str:
    """Returns the one line that a process says on its way out, without its ERROR."""
    assert process.stdout == ""
    start, _, message = process.stderr.partition("ERROR: ")
    assert start == ""
    assert message.endswith("\n")
    assert message.count("\n") == 1
    assert process.returncode == status
    return message.rstrip("\n")


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_lists_every_flag_with_its_default_and_loads_no_tensorflow(
    script: str, flag: str
) -> None:
    process = python("-X", "importtime", script, flag)
    assert process.returncode == 0
    settings = [field for field in dataclasses.fields(SCRIPTS[script]) if field.metadata]
    listed = [line.strip() for line in process.stdout.splitlines() if line.startswith("  --")]
    common = getattr(SCRIPTS[script], "COMMON", ())
    names = [setting.name for setting in settings if setting.name not in common]
    assert listed == [f"--{name}" for name in (*common, *names)]
    assert ("What most people need:" in process.stdout) == bool(common)
    words = " ".join(process.stdout.split())
    for setting in settings:
        default = "none" if setting.default in {"", ()} else setting.default
        meaning = f"--{setting.name} {setting.metadata['meaning']} ("
        assert f"default: {default})" in words.partition(meaning)[2].partition(" --")[0]
    imported = [line.rpartition("|")[2].strip() for line in process.stderr.splitlines()]
    assert "image_retraining.foundation.settings" in imported
    assert not [name for name in imported if name.startswith(("tensorflow", "tensorboard"))]


def test_help_says_how_to_start() -> None:
    for script in SCRIPTS:
        assert f"  python {script} --" in python(script, "-h").stdout


def test_help_does_not_break_paths_in_two() -> None:
    # Once: it does, at their hyphens.
    path = "/home/me" + 10 * "/image-retraining"
    code = f"""
import dataclasses
from image_retraining.foundation.command_line import run_script
metadata = dict(meaning="Where.", group="Folders", choices=None, repeatable=False)
field = dataclasses.field(default={path!r}, metadata=metadata)
run_script(print, dataclasses.make_dataclass("Config", [("folder", str, field)]), about="About.")
"""
    assert path in python("-c", code, "--help").stdout


@pytest.mark.parametrize("arguments", [["--seed=x", "--help"], ["-h", "photos"], ["--nope", "-h"]])
def test_help_wins_over_mistakes(arguments: list[str]) -> None:
    process = python("retrain.py", *arguments)
    assert process.returncode == 0
    assert "--image_dir" in process.stdout
    assert process.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--imge_dir=photos"], ["'imge_dir'", "image_dir", "--help"]),
        (["--image_dir=photos", "--verbose"], ["'verbose'", "--help"]),
        (["--architecture=mobilenet_1.0_224"], ["no --architecture here", "--tfhub_module"]),
        (["--model_dir", "imagenet"], ["no --model_dir here", "--tfhub_module"]),
        (["photos"], ["must be a flag", "'photos'", "--help"]),
        (["--image_dir=photos", "more", "photos"], ["must be a flag", "'more'"]),
        (["--", "-h"], ["must be a flag", "'-h'"]),
        (["--seed=abc"], ["seed", "abc", "--help"]),
        (["--train_batch_size=1.5"], ["train_batch_size", "1.5"]),
        (["--learning_rate=fast"], ["learning_rate", "fast"]),
        (["--flip_left_right=perhaps"], ["flip_left_right", "perhaps"]),
        (["--logging_verbosity=LOUD"], ["logging_verbosity", "LOUD", "DEBUG", "FATAL"]),
        (["--on_bad_image=cry"], ["on_bad_image", "cry", "skip", "fail"]),
        (["--seed"], ["seed"]),
        (["--learning_rate=0"], ["--learning_rate must be a number above 0", "Got 0.0."]),
        (["--learning_rate=nan"], ["--learning_rate must be a number above 0", "Got nan."]),
        (["--testing_percentage=90"], ["must be below 100", "Got 90 + 10 = 100."]),
        (["--image_size=big"], ["--image_size", "Got big."]),
    ],
)
def test_mistakes_on_retrain_s_command_line(arguments: list[str], words: list[str]) -> None:
    message = the_error(python("retrain.py", *arguments))
    for word in words:
        assert word in message


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["--image must name a photo", "Got nothing."]),
        (["--image="], ["--image must name a photo", "Got an empty name."]),
        (["a.jpg", "--input_std=0"], ["--input_std must be finite and not 0"]),
        (["a.jpg", "--input_hight=9"], ["'input_hight'", "input_height", "--help"]),
        (["a.jpg", "--input_width=wide"], ["input_width", "wide"]),
    ],
)
def test_mistakes_on_label_image_s_command_line(arguments: list[str], words: list[str]) -> None:
    message = the_error(python("label_image.py", *arguments))
    for word in words:
        assert word in message


def test_a_missing_folder_is_an_error_without_tensorflow(tmp_path: Path) -> None:
    outputs = ("output_graph", "output_labels", "checkpoint_path", "summaries_dir")
    process = python(
        *("-X", "importtime", "retrain.py", "--image_dir=~/photos"),
        *(f"--{name}={tmp_path / name}" for name in outputs),
        f"--bottleneck_dir={tmp_path}",
        HOME=str(tmp_path),
    )
    assert process.returncode == 2
    lines = [line for line in process.stderr.splitlines() if not line.startswith("import time:")]
    assert lines == [
        f"ERROR: --image_dir must be a folder. Got {tmp_path}/photos, which does not exist."
    ]
    assert " tensorflow\n" not in process.stderr


@pytest.mark.parametrize(
    ("arguments", "name", "value"),
    [
        ([], "flip_left_right", False),
        (["--flip_left_right"], "flip_left_right", True),
        (["--flip_left_right", "--noflip_left_right"], "flip_left_right", False),
        (["--flip_left_right=false"], "flip_left_right", False),
        (["--image_dir", "my photos"], "image_dir", "my photos"),
        (["--image_dir=~/photos"], "image_dir", "/home/me/photos"),
        (["--image_dir=a~/photos"], "image_dir", "a~/photos"),
        (["--output_graph", "~/g.pb"], "output_graph", "/home/me/g.pb"),
        (["-learning_rate=0.5"], "learning_rate", 0.5),
        (["--learning_rate=1"], "learning_rate", 1.0),
        (["--test_batch_size=-1"], "test_batch_size", -1),
        (["--seed=3", "--seed=4"], "seed", 4),
        ([], "named", frozenset()),
        (["--seed=0"], "named", frozenset({"seed"})),
    ],
)
def test_flags_become_settings(arguments: list[str], name: str, value: object) -> None:
    process = retrain_with(f"print(repr(config.{name}))", *arguments, HOME="/home/me")
    assert process.stderr == ""
    assert process.stdout == f"{value!r}\n"
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "image"),
    [
        (["a.jpg"], ("a.jpg",)),
        (["--image=a.jpg"], ("a.jpg",)),
        (["b.jpg", "--image=a.jpg", "c d.jpg"], ("a.jpg", "b.jpg", "c d.jpg")),
        (["--image=a.jpg", "--image", "b,c.jpg"], ("a.jpg", "b,c.jpg")),
        (["--input_mean=0", "--", "--odd.jpg"], ("--odd.jpg",)),
        # Once: a tilde is left in photos' names, though no shell expands it there either.
        (["--image=~/a.jpg", "--image=b.jpg"], ("/home/me/a.jpg", "b.jpg")),
    ],
)
def test_photos_are_named_with_and_without_the_flag(
    arguments: list[str], image: tuple[str, ...]
) -> None:
    process = label_with("print(config.image)", *arguments, HOME="/home/me")
    assert process.stderr == ""
    assert process.stdout == f"{image!r}\n"


def test_both_scripts_run_in_one_process() -> None:
    code = """
import sys
import label_image
import retrain
for script, arguments in [
    (retrain, ["--noflip_left_right", "--seed=-5"]),
    (label_image, ["--input_height=-6", "a.jpg"]),
    (retrain, ["--seed=-7"]),
]:
    sys.argv = [script.__name__, *arguments]
    try:
        script.main()
    except SystemExit as end:
        print(end.code)
"""
    process = python("-c", code)
    assert process.stdout == "2\n2\n2\n"
    assert [line.rpartition(" Got ")[2] for line in process.stderr.splitlines()] == [
        "-5.",
        "-6.",
        "-7.",
    ]


@pytest.mark.parametrize(
    ("error", "status", "message"),
    [
        ("PhotoError('No photos. Add some.')", 2, "No photos. Add some."),
        ("SettingError('50% of 玫瑰 {0}')", 2, "50% of 玫瑰 {0}"),
        ("ModuleError('No module.')", 2, "No module."),
        ("PhotoError('ro\\udcffse.jpg is odd.')", 2, "ro\\udcffse.jpg is odd."),
        ("VerificationError('Other answers.')", 1, "Other answers."),
        ("KeyboardInterrupt", 130, "Interrupted."),
    ],
)
def test_what_can_be_foreseen_ends_in_one_line(error: str, status: int, message: str) -> None:
    process = retrain_with(f"raise {error}", PYTHONUTF8="1")
    assert the_error(process, status=status) == message


def test_a_defect_shows_where_it_is() -> None:
    process = retrain_with("raise ZeroDivisionError('what a surprise')")
    assert process.returncode == 1
    assert "Traceback" in process.stderr
    assert "what a surprise" in process.stderr


def test_the_status_is_what_the_work_returns() -> None:
    process = retrain_with("return 2")
    assert process.returncode == 2
    assert process.stderr == ""


def test_names_that_are_not_utf8_can_be_printed() -> None:
    process = label_with("print(config.image[0])", "ro\udcffse.jpg")
    assert process.stdout == "ro\\udcffse.jpg\n"
    assert process.returncode == 0


def test_a_reader_that_has_had_enough_is_no_crash() -> None:
    code = ONE_LINE.format(
        line="[print('rose 0.9') for _ in range(100000)]", config="RetrainConfig", positional=""
    )
    with subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
    ) as process:
        assert process.stdout
        assert process.stderr
        assert process.stdout.readline() == "rose 0.9\n"
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 130


@pytest.mark.parametrize(
    ("verbosity", "shown"),
    [
        ("DEBUG", ["debug", "info", "warning", "error"]),
        ("INFO", ["info", "warning", "error"]),
        ("WARN", ["warning", "error"]),
        ("ERROR", ["error"]),
        ("FATAL", []),
    ],
)
def test_verbosity(verbosity: str, shown: list[str]) -> None:
    process = retrain_with(
        "from absl import logging as l; "
        "l.debug('debug'); l.info('info'); l.warning('warning'); l.error('error'); "
        # What libraries tell their makers.
        "import logging; logging.getLogger('PIL.Image').debug('importing plugins')",
        f"--logging_verbosity={verbosity}",
    )
    assert [line.rpartition("] ")[2] for line in process.stderr.splitlines()] == shown


def test_information_is_logged_unless_told_otherwise() -> None:
    process = retrain_with("from absl import logging as l; l.debug('debug'); l.info('info')")
    assert process.stderr.endswith("] info\n")
    assert process.stderr.count("\n") == 1


CHATTER = (
    "WARNING: All log messages before absl::InitializeLog() is called are written to STDERR\n"
    "I0000 00:00:1.2 3 port.cc:153] oneDNN custom operations are on.\n"
)
TROUBLE = "E0000 00:00:1.2 3 cuda.cc:9] INTERNAL: 50% of CUDA is broken 玫瑰\nplain words\n"
IMPORTS = (
    "from image_retraining.foundation.importing import import_tensorflow\nimport_tensorflow()\n"
)


@pytest.fixture
def noisy_tensorflow(tmp_path: Path) -> Path:
    """A folder with a `tensorflow` that only talks, past Python, as the real one does."""
    message = (CHATTER + TROUBLE).encode()
    (tmp_path / "tensorflow.py").write_text(f"import os\nos.write(2, {message!r})\n")
    return tmp_path


def test_import_tensorflow_hides_its_chatter_alone(noisy_tensorflow: Path) -> None:
    code = (
        f"{IMPORTS}import os\nos.write(2, b'after\\n')\nprint('TF_CPP_MIN_LOG_LEVEL' in os.environ)"
    )
    process = python("-c", code, PYTHONPATH=str(noisy_tensorflow), PYTHONUTF8="1")
    assert process.stderr == TROUBLE + "after\n"
    # Programs that are started later make up their own minds.
    assert process.stdout == "False\n"


@pytest.mark.parametrize("level", ["0", "1", "3"])
def test_import_tensorflow_hides_nothing_from_who_set_the_level(
    noisy_tensorflow: Path, level: str
) -> None:
    code = f"{IMPORTS}import os\nprint(os.environ['TF_CPP_MIN_LOG_LEVEL'])"
    process = python("-c", code, PYTHONPATH=str(noisy_tensorflow), TF_CPP_MIN_LOG_LEVEL=level)
    assert process.stderr == CHATTER + TROUBLE
    assert process.stdout == f"{level}\n"


def test_an_import_that_fails_hides_nothing_that_matters(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text(
        "import os\nos.write(2, b'a library is missing\\n')\nraise ImportError('no such thing')\n"
    )
    process = python("-c", IMPORTS, PYTHONPATH=str(tmp_path))
    assert process.returncode == 1
    assert process.stderr.startswith("a library is missing\nTraceback")
    assert "no such thing" in process.stderr


def test_the_real_tensorflow_starts_without_chatter() -> None:
    process = python("-c", f"{IMPORTS}import tensorflow as tf\nprint(tf.constant(6).numpy())")
    assert process.stdout == "6\n"
    assert not [
        line
        for line in process.stderr.splitlines()
        if line.startswith(("I0", "I1", "WARNING: All log")) or "oneDNN" in line
    ]
