"""--output_dir: where results lie in the folder of a run, and what is not overwritten."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from image_retraining.exports.run_folder import graph_in
from image_retraining.foundation.errors import GraphError, SettingError
from image_retraining.retraining import run_folder
from image_retraining.retraining.config import EXPORT_FLAGS, RetrainConfig

UNCHANGED = RetrainConfig()


def test_without_a_folder_all_stays_in_the_tutorial_s_places() -> None:
    assert run_folder.placed(UNCHANGED) == UNCHANGED
    assert run_folder.log_path(UNCHANGED) == "/tmp/retrain_logs/run.log"  # noqa: S108
    assert run_folder.graph_to_name(UNCHANGED) == (
        "--graph=/tmp/output_graph.pb",
        "--labels=/tmp/output_labels.txt",
    )


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


def test_a_graph_elsewhere_is_named_with_its_labels() -> None:
    config = run_folder.placed(RetrainConfig(output_dir="runs", output_graph="/srv/m.pb"))
    assert run_folder.graph_to_name(config) == ("--graph=/srv/m.pb", "--labels=runs/labels.txt")


def test_every_result_has_its_place() -> None:
    results = {
        field.name
        for field in dataclasses.fields(RetrainConfig)
        if field.metadata and field.name.endswith(("_file", "_dir", "_graph", "_labels", "_path"))
    }
    read_only = {"image_dir", "bottleneck_dir", "tfhub_cache_dir", "output_dir"}
    assert set(run_folder.NAMES) == results - read_only
    assert set(EXPORT_FLAGS) <= set(run_folder.NAMES)


def config_in(folder: Path, **changes: Any) -> RetrainConfig:
    return run_folder.placed(RetrainConfig(output_dir=str(folder), **changes))


def test_a_new_folder_is_made(tmp_path: Path) -> None:
    run_folder.check(config_in(tmp_path / "runs/birds"))
    assert (tmp_path / "runs/birds").is_dir()


@pytest.mark.parametrize("resume", [False, True])
@pytest.mark.parametrize(
    ("name", "content"),
    [("model.pb", ""), ("settings.json", '{"finished": "2026-11-28T04:33:43+0000"}')],
)
def test_a_finished_run_is_not_overwritten_unasked(
    tmp_path: Path, name: str, content: str, *, resume: bool
) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(SettingError) as caught:
        run_folder.check(config_in(tmp_path, resume=resume))
    assert str(caught.value) == (
        f"--output_dir must not hold a finished run. Got {tmp_path}, which does. Name another "
        "folder, or give --overwrite to replace what is in it."
    )
    run_folder.check(config_in(tmp_path, resume=resume, overwrite=True))
    assert (tmp_path / name).read_text() == content


@pytest.mark.parametrize("content", ['{"finished": null}', "{}", "[]", "no json", "\0"])
def test_an_unfinished_run_is_no_obstacle(tmp_path: Path, content: str) -> None:
    (tmp_path / "settings.json").write_text(content)
    (tmp_path / "notes.txt").touch()
    run_folder.check(config_in(tmp_path))


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


def test_overwriting_needs_a_folder() -> None:
    with pytest.raises(SettingError, match="it needs --output_dir"):
        run_folder.check(RetrainConfig(overwrite=True))


def test_the_graph_of_a_run_is_found_by_its_folder(tmp_path: Path) -> None:
    assert graph_in(str(tmp_path)) == str(tmp_path)
    assert graph_in(str(tmp_path / "g.pb")) == str(tmp_path / "g.pb")
    (tmp_path / "settings.json").touch()
    with pytest.raises(GraphError, match="the folder of a finished run") as caught:
        graph_in(str(tmp_path))
    assert "--resume" in str(caught.value)
    (tmp_path / "model.pb").touch()
    assert graph_in(str(tmp_path)) == str(tmp_path / "model.pb")
