"""--output_dir: where results lie in the folder of a run, and what is not overwritten."""

import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from image_retraining.exports.run_folder import graph_in
from image_retraining.foundation.errors import GraphError, SettingError
from image_retraining.foundation.lock import lock
from image_retraining.foundation.settings import settings_of
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import EXPORT_FLAGS, RetrainConfig
from image_retraining.retraining.outputs import check_outputs

ROOT = Path(__file__).resolve().parents[2]

UNCHANGED = RetrainConfig()


def test_without_a_folder_all_stays_in_the_tutorial_s_places() -> None:
    assert run_folder.placed(UNCHANGED) == UNCHANGED
    assert run_folder.log_path(UNCHANGED) == "/tmp/retrain_logs/run.log"  # noqa: S108
    assert run_folder.graph_to_name(UNCHANGED) == (
        "--graph=/tmp/output_graph.pb",
        "--labels=/tmp/output_labels.txt",
    )


def test_an_empty_name_is_no_folder_as_the_help_says() -> None:
    config = RetrainConfig(output_dir="", named=frozenset({"output_dir"}))
    assert run_folder.placed(config) == config
    (folder,) = [one for one in settings_of(config) if one.name == "output_dir"]
    assert "Empty is none" in folder.metadata["meaning"]


def test_a_run_is_one_folder() -> None:
    config = run_folder.placed(RetrainConfig(output_dir="runs/birds"))
    changed = {
        name: value for name, value in config.settings.items() if value != UNCHANGED.settings[name]
    }
    assert changed == {
        "output_dir": "runs/birds",
        "output_graph": "runs/birds/model.pb",
        "output_labels": "runs/birds/labels.txt",
        "summaries_dir": "runs/birds/logs",
        "checkpoint_path": "runs/birds/checkpoint",
        "intermediate_output_graphs_dir": "runs/birds/intermediate_graphs",
        "report_file": "runs/birds/report.html",
    }
    assert run_folder.log_path(config) == "runs/birds/run.log"
    assert run_folder.settings_path(config) == "runs/birds/settings.json"
    assert run_folder.graph_to_name(config) == ("--graph=runs/birds",)


@pytest.mark.parametrize(
    ("changes", "places"),
    [
        ({"output_graph": "/srv/m.pb"}, {"output_graph": "/srv/m.pb"}),
        ({"output_graph": "m.pb"}, {"output_graph": "runs/m.pb"}),
        ({"summaries_dir": "/srv/logs"}, {"summaries_dir": "/srv/logs"}),
        ({"saved_model_dir": "saved/1"}, {"saved_model_dir": "runs/saved/1"}),
        ({"tflite_output_file": "m.tflite"}, {"tflite_output_file": "runs/m.tflite"}),
        ({"metrics_file": "/srv/m.json"}, {"metrics_file": "/srv/m.json"}),
        ({"report_file": "r.html"}, {"report_file": "runs/r.html"}),
        ({"report_file": "", "named": frozenset({"report_file"})}, {"report_file": ""}),
        ({"label_issues_file": "i.csv"}, {"label_issues_file": "runs/i.csv"}),
        # A name that is the tutorial's is a name as well.
        (
            {"output_graph": UNCHANGED.output_graph, "named": frozenset({"output_graph"})},
            {"output_graph": "/tmp/output_graph.pb"},  # noqa: S108
        ),
        # That a file needs a name is said elsewhere.
        ({"output_labels": "", "named": frozenset({"output_labels"})}, {"output_labels": ""}),
    ],
)
def test_a_name_that_is_given_wins(changes: dict[str, Any], places: dict[str, str]) -> None:
    config = run_folder.placed(RetrainConfig(output_dir="runs", **changes))
    assert {name: getattr(config, name) for name in places} == places


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        ({}, "/tmp/report.html"),  # noqa: S108 - the default
        ({"output_graph": "/srv/m.pb"}, "/srv/report.html"),
        ({"output_graph": "m.pb"}, "report.html"),
        ({"output_graph": "/srv/m.pb", "report_file": "here.html"}, "here.html"),
        ({"report_file": "", "named": frozenset({"report_file"})}, ""),
    ],
)
def test_the_report_lies_beside_the_graph(settings: dict[str, Any], place: str) -> None:
    assert run_folder.placed(RetrainConfig(**settings)).report_file == place


def test_a_graph_elsewhere_is_named_with_its_labels() -> None:
    config = run_folder.placed(RetrainConfig(output_dir="runs", output_graph="/srv/m.pb"))
    assert run_folder.graph_to_name(config) == ("--graph=/srv/m.pb", "--labels=runs/labels.txt")


def test_every_result_has_its_place() -> None:
    results = {
        field.name
        for field in dataclasses.fields(RetrainConfig)
        if field.metadata and field.name.endswith(("_file", "_dir", "_graph", "_labels", "_path"))
    }
    no_results = {"image_dir", "bottleneck_dir", "shard_dir", "tfhub_cache_dir", "output_dir"}
    assert set(run_folder.NAMES) == results - no_results
    assert set(EXPORT_FLAGS) <= set(run_folder.NAMES)


def config_in(folder: Path, **changes: Any) -> RetrainConfig:
    return run_folder.placed(RetrainConfig(output_dir=str(folder), **changes))


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    run_folder.check(config_in(tmp_path / "runs/birds"))
    assert (tmp_path / "runs/birds").is_dir()


def settings_json(finished: str | None, **settings: str) -> str:
    return json.dumps({"finished": finished, "settings": {"output_graph": "/srv/m.pb"} | settings})


FINISHED, UNFINISHED = settings_json("2026-11-28T04:33:43+0000"), settings_json(None)


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("files", "has_finished"),
    [
        ({"model.pb": ""}, True),
        ({"settings.json": FINISHED}, True),
        ({"settings.json": FINISHED, "model.pb": ""}, True),
        ({"settings.json": UNFINISHED}, False),
        # Once: a run that was stopped while it wrote its exports could not be resumed.
        ({"settings.json": UNFINISHED, "model.pb": ""}, False),
        ({"notes.txt": ""}, False),
    ],
)
def test_a_finished_run_is_not_overwritten_unasked(
    tmp_path: Path, files: dict[str, str], *, has_finished: bool, resume: bool
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    config = config_in(tmp_path, resume=resume)
    if has_finished:
        with pytest.raises(SettingError) as caught:
            run_folder.check(config)
        assert str(caught.value) == (
            f"--output_dir must not hold a finished run. Got {tmp_path}, which does. Name another "
            "folder, or give --overwrite to replace what is in it."
        )
    else:
        run_folder.check(config)
    run_folder.check(config_in(tmp_path, resume=resume, overwrite=True))
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == files


OTHERS = ["{}", "[]", "no json", "\0", '{"editor.fontSize": 12}', "[" * 9999, '{"finished": null}']


@pytest.mark.parametrize("content", OTHERS)
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_settings_of_another_program_are_not_replaced(
    tmp_path: Path, content: str, *, overwrite: bool
) -> None:
    (tmp_path / "settings.json").write_text(content)
    with pytest.raises(SettingError, match=r"must not hold a settings\.json of another program"):
        run_folder.check(config_in(tmp_path, overwrite=overwrite))


@pytest.mark.parametrize("content", OTHERS)
def test_a_model_beside_them_can_be_read(tmp_path: Path, content: str) -> None:
    # Once: a SavedModel in a folder with such a file was taken for an unfinished run.
    (tmp_path / "settings.json").write_text(content)
    assert graph_in(str(tmp_path)) == str(tmp_path)


def test_a_folder_that_is_called_as_the_graph_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "model.pb").mkdir()
    run_folder.check(config_in(tmp_path))
    with pytest.raises(SettingError, match=r"--output_graph must name a file.*which is a folder"):
        check_outputs(config_in(tmp_path))


HOLDER = """
import sys
from image_retraining.foundation.lock import lock
from image_retraining.foundation.settings import settings_of
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import RetrainConfig

with run_folder.held(RetrainConfig(output_dir=sys.argv[1])):
    print("holds", flush=True)
    sys.stdin.readline()
"""


@pytest.mark.parametrize("ending", [b"\n", signal.SIGKILL])
def test_one_run_at_a_time_writes_into_a_folder(
    tmp_path: Path, ending: bytes | signal.Signals
) -> None:
    # Once: both wrote, and of each result the later one stayed.
    folder = tmp_path / "run"
    other = subprocess.Popen(
        [sys.executable, "-c", HOLDER, folder],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with other:
        assert other.stdout
        assert other.stdout.readline() == b"holds\n"
        with (
            pytest.raises(SettingError) as caught,
            run_folder.held(config_in(folder, overwrite=True)),
        ):
            raise AssertionError
        assert f"another run writes into. Got {folder}, where process {other.pid}" in str(
            caught.value
        )
        if isinstance(ending, bytes):
            other.communicate(ending)
        else:
            other.send_signal(ending)
            other.wait()
    with run_folder.held(config_in(folder)):
        pass
    with run_folder.held(config_in(tmp_path / "another")):
        assert not [path for path in folder.iterdir() if isinstance(ending, bytes)]


def test_a_run_that_has_just_finished_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def finish_first(path: str, on_other: Callable[[str], None]) -> Callable[[], None]:
        (tmp_path / "settings.json").write_text(FINISHED)
        return lock(path, on_other)

    monkeypatch.setattr(run_folder, "lock", finish_first)
    with (
        pytest.raises(SettingError, match="must not hold a finished run"),
        run_folder.held(config_in(tmp_path)),
    ):
        raise AssertionError


@pytest.mark.parametrize(
    ("content", "has_checkpoint", "resume", "is_told"),
    [
        (UNFINISHED, True, False, True),
        (UNFINISHED, True, True, False),
        (UNFINISHED, False, False, False),
        (FINISHED, True, False, False),
    ],
)
def test_whoever_starts_anew_is_told_of_what_is_given_up(
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
    content: str,
    *,
    has_checkpoint: bool,
    resume: bool,
    is_told: bool,
) -> None:
    (tmp_path / "settings.json").write_text(content)
    if has_checkpoint:
        (tmp_path / "checkpoint").touch()
    run_folder.warn_of_unfinished(config_in(tmp_path, resume=resume))
    assert bool(logged.messages) == is_told
    assert all("the same command with --resume" in line for line in logged.messages)


def test_what_an_earlier_run_left_is_found(tmp_path: Path) -> None:
    names = {"tflite_output_file": "m.tflite", "saved_model_dir": "saved", "metrics_file": "m.csv"}
    earlier = {name: str(tmp_path / value) for name, value in names.items()}
    gone = str(tmp_path / "gone.csv")
    (tmp_path / "settings.json").write_text(
        settings_json("2026", **earlier, label_issues_file=gone, checkpoint_path=str(tmp_path))
    )
    (tmp_path / "m.tflite").touch()
    (tmp_path / "saved").mkdir()
    (tmp_path / "m.csv").touch()
    assert set(run_folder.left_over(config_in(tmp_path))) == set(earlier.values())
    now = config_in(tmp_path, tflite_output_file="./m.tflite", metrics_file="m.csv")
    assert run_folder.left_over(now) == (str(tmp_path / "saved"),)
    assert run_folder.left_over(config_in(tmp_path / "new")) == ()
    assert run_folder.left_over(UNCHANGED) == ()


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SettingError, match="--output_dir must lie in a folder"):
        run_folder.check(config_in(tmp_path / "file"))


@pytest.mark.parametrize("below", ["", "runs", "runs/birds"])
def test_results_do_not_go_among_the_photos(tmp_path: Path, below: str) -> None:
    # Once: logs/ and the folders of later runs are taken for classes.
    (tmp_path / "photos/daisy").mkdir(parents=True)
    (tmp_path / "link").symlink_to("photos")
    photos = str(tmp_path / "photos")
    with pytest.raises(SettingError, match="--output_dir must not lie in --image_dir"):
        run_folder.check(config_in(tmp_path / "link" / below, image_dir=photos))
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["daisy"]
    for other in (tmp_path, tmp_path / "photos of runs"):
        run_folder.check(config_in(other, image_dir=photos))
    # Once: a class may be a link, and its photos lie where that leads.
    (tmp_path / "roses").mkdir()
    (tmp_path / "photos/rose").symlink_to("../roses")
    with pytest.raises(SettingError, match="--output_dir must not lie in --image_dir"):
        run_folder.check(config_in(tmp_path / "roses" / below, image_dir=photos))


def test_overwriting_needs_a_folder() -> None:
    with pytest.raises(SettingError, match="it needs --output_dir"):
        run_folder.check(RetrainConfig(overwrite=True))


def test_the_graph_of_a_run_is_found_by_its_folder(tmp_path: Path) -> None:
    assert graph_in(str(tmp_path)) == str(tmp_path)
    assert graph_in(str(tmp_path / "g.pb")) == str(tmp_path / "g.pb")
    for content, advice in [(UNFINISHED, "--resume goes on"), (FINISHED, "to /srv/m.pb: name")]:
        (tmp_path / "settings.json").write_text(content)
        with pytest.raises(GraphError, match="the folder of a finished run") as caught:
            graph_in(str(tmp_path))
        assert advice in str(caught.value)
    (tmp_path / "model.pb").touch()
    assert graph_in(str(tmp_path)) == str(tmp_path / "model.pb")


_KILLED_WHILE_WRITING = """
import os, signal, sys
from image_retraining.foundation.files import replacing
with replacing(sys.argv[1]) as temporary:
    temporary.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("is_locked", [True, False])
def test_what_a_killed_run_left_half_written_is_removed(
    *, is_locked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("model.pb", "m [1].tflite", "notes.txt"):
        command = [sys.executable, "-c", _KILLED_WHILE_WRITING, str(tmp_path / name)]
        assert subprocess.run(command, cwd=ROOT, check=False).returncode == -signal.SIGKILL
    # Somebody's copy, of a name that might be one of ours.
    (tmp_path / ".model.pb.original").write_bytes(b"whole")
    (tmp_path / ".model.pb.original").chmod(0o644)
    left = sorted(path.name for path in tmp_path.iterdir())
    assert len(left) == 4

    def cannot(_path: str, _refuse: Callable[[str], None]) -> Callable[[], None]:
        raise NotImplementedError

    if not is_locked:
        monkeypatch.setattr(run_folder, "lock", cannot)
    config = RetrainConfig(output_dir=str(tmp_path), tflite_output_file="m [1].tflite")
    with run_folder.held(run_folder.placed(config)):
        pass
    names = sorted(path.name for path in tmp_path.iterdir())
    ours = [name for name in left if name == ".model.pb.original" or ".notes.txt." in name]
    assert names == (ours if is_locked else left)
