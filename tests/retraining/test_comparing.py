"""Modules compared on photos: small real ones, of which one sees no colours and one is none."""

import json
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from conftest import draw_colours, encoded, save_module, solid

import image_retraining
from image_retraining.exports.facts import read_facts
from image_retraining.foundation.errors import ModuleError, PhotoError, SettingError
from image_retraining.reports.findings import Trained
from image_retraining.retraining import command, story
from image_retraining.retraining.config import RetrainConfig


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_colours(tmp_path_factory.mktemp("comparing") / "photos")


@pytest.fixture(scope="module")
def grey_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module whose two features are how light a photo is, and twice that."""

    def light(pictures: Any) -> Any:
        mean = tf.reduce_mean(pictures, [1, 2, 3])
        return tf.stack([mean, 2 * mean], 1)

    return save_module(tmp_path_factory.mktemp("modules") / "grey", light, (None, 6, 9, 3))


@pytest.fixture
def broken_module(photos: Path) -> Path:
    """The folder of a module whose file is none."""
    folder = photos.parent / "broken"
    folder.mkdir(exist_ok=True)
    (folder / "saved_model.pb").write_bytes(b"no module")
    return folder


@pytest.fixture
def settings(
    photos: Path, colour_module: Path, grey_module: Path, broken_module: Path
) -> dict[str, Any]:
    return {
        "image_dir": str(photos),
        "compare_modules": f"{grey_module}, {colour_module} ,{broken_module}",
        "bottleneck_dir": str(photos.parent / "cache"),
        "how_many_training_steps": 5,
        "cross_validate": -1,
    }


def test_the_best_is_trained_on(
    settings: dict[str, Any], colour_module: Path, broken_module: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    settings |= {"compare_file": "c.json", "compare_plot_file": "c.svg", "output_dir": str(out)}
    found = story.run(RetrainConfig(**settings), label_image="label_image")
    assert found.compared
    best, worse = found.compared.contenders
    assert found.compared.recommended is best
    assert (best.module, best.image_size, best.feature_size) == (str(colour_module), (8, 8), 6)
    assert (worse.image_size, worse.feature_size) == ((6, 9), 2)
    assert best.crossed.metrics.accuracy == 1
    assert best.crossed.metrics.count == 90
    # All that it sees is alike in the three classes.
    assert worse.crossed.metrics.accuracy < 0.6
    assert found.compared.p_values[1] < 1e-6
    assert best.tested
    assert best.tested.count == len(found.judged.paths)
    for one in (best, worse):
        assert one.costs.photos_per_second > 0
        assert one.costs.milliseconds > 0
        assert one.costs.int8_megabytes is None
    (failure,) = found.compared.failures
    assert failure.module == str(broken_module)
    assert failure.reason.startswith("--tfhub_module must be ")
    # The run is that of the recommended module.
    facts = read_facts(str(out / "model.pb"))
    assert facts
    assert facts.module == found.backbone.handle == str(colour_module)
    assert best.costs.megabytes == pytest.approx((out / "model.pb").stat().st_size / 1e6, rel=0.05)
    told = json.loads((out / "settings.json").read_text())
    assert told["settings"]["tfhub_module"] == str(colour_module)
    assert told["seconds"]["compared"] > 0
    rows = json.loads((out / "c.json").read_text())
    assert [row["recommended"] for row in rows] == [True, False, None]
    assert (out / "c.svg").read_text().startswith("<svg ")
    assert "Recommended: " in (out / "run.log").read_text()


def test_comparing_alone_trains_nothing_and_computes_nothing_twice(
    settings: dict[str, Any],
    broken_module: Path,
    tmp_path: Path,
    logged: pytest.LogCaptureFixture,
) -> None:
    settings |= {"compare_only": True, "bottleneck_dir": str(tmp_path / "cache")}
    out = tmp_path / "run"
    int8 = {"tflite_output_file": "m.tflite", "tflite_quantize": "int8"}
    for more in (settings, settings | int8):
        logged.clear()
        assert command.run(RetrainConfig(**more, output_dir=str(out))) == 0
    assert sorted(path.name for path in out.iterdir()) == ["run.log"]
    text = "\n".join(logged.messages)
    assert text.count(" 0 computed, 0 copies of others, 90 from the cache") == 2
    assert f"Comparing modules, 3 of 3: {broken_module}" in text
    assert f"WARNING: {broken_module} cannot be compared: " in text
    (title,) = [line for line in logged.messages if "int8 MB" in line]
    assert "test (N=" in title
    assert "Final test accuracy" not in text
    # The folder is free for the run that follows.
    story.run(
        RetrainConfig(
            **settings
            | {"compare_only": False, "compare_modules": "", "output_dir": str(out)}
            | {"tfhub_module": settings["compare_modules"].split(",")[0]},
            named=frozenset({"tfhub_module"}),
        ),
        label_image="label_image",
    )
    assert (out / "model.pb").exists()


def test_folds_and_views_are_as_asked(settings: dict[str, Any]) -> None:
    asked = {"cross_validate": 3, "flip_left_right": True, "distortion_views": 2}
    found = story.compare(RetrainConfig(**settings | asked))
    assert {one.crossed.fold_count for one in found.contenders} == {3}


def test_a_program_gets_a_table(
    settings: dict[str, Any], colour_module: Path, grey_module: Path
) -> None:
    del settings["compare_modules"]
    photos = settings.pop("image_dir")
    table = image_retraining.compare(photos, [grey_module, colour_module], **settings)
    assert table["module"].tolist() == [str(colour_module), str(grey_module)]
    assert table["recommended"].tolist() == [True, False]
    assert table["cross_validated_accuracy"][0] == 1
    for few in (grey_module, [], [colour_module]):
        with pytest.raises(image_retraining.RetrainError, match="modules must be at least 2"):
            image_retraining.compare(photos, few, **settings)
    with pytest.raises(image_retraining.RetrainError, match="must hold no comma"):
        image_retraining.compare(photos, ["a,b", grey_module], **settings)


def test_no_module_at_all_is_an_error(settings: dict[str, Any], broken_module: Path) -> None:
    another = shutil.copytree(broken_module, f"{broken_module}2", dirs_exist_ok=True)
    settings["compare_modules"] = f"{broken_module},{another}"
    with pytest.raises(ModuleError, match=r"Of 2 none can; .*broken: --tfhub_module must be"):
        story.compare(RetrainConfig(**settings))


def test_a_name_of_nothing_is_told_before_any_module_is_looked_at(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    # Once: when those before it had been compared.
    settings |= {"compare_modules": settings["compare_modules"] + ",efficientnet_lite7"}
    settings |= {"bottleneck_dir": str(tmp_path / "cache")}
    for tell in (story.compare, partial(story.run, label_image="label_image")):
        with pytest.raises(ModuleError, match=r"Got efficientnet_lite7, .* Did you mean"):
            tell(RetrainConfig(**settings))
    assert "Comparing" not in logged.text
    assert not (tmp_path / "cache").exists()


def test_photos_that_no_module_can_be_judged_by_are_an_error(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    for label in ("one", "other"):
        (tmp_path / "few" / label).mkdir(parents=True)
        (tmp_path / "few" / label / "a.png").write_bytes(encoded(solid((9, 9, len(label) * 40))))
    settings |= {"image_dir": str(tmp_path / "few"), "bottleneck_dir": str(tmp_path / "cache")}
    settings |= {"testing_percentage": 0, "validation_percentage": 0}
    with pytest.raises(PhotoError, match="needs at least 2 classes of 2 photos each"):
        story.compare(RetrainConfig(**settings))


def test_photos_that_cannot_be_read_are_told_without_a_training(
    settings: dict[str, Any], photos: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    shutil.copytree(photos, tmp_path / "photos")
    (tmp_path / "photos/red/broken.png").write_bytes(b"no photo")
    (tmp_path / "photos/single").mkdir()
    alone = encoded(solid((250, 250, 10)))
    (tmp_path / "photos/single/a.png").write_bytes(alone)
    found = story.compare(RetrainConfig(**settings | {"image_dir": str(tmp_path / "photos")}))
    assert [Path(one.path).name for one in found.unreadable] == ["broken.png"]
    text = "\n".join(logged.messages)
    assert "WARNING: 1 of 92 photos could not be read and was left out:" in text
    assert "Left out, for each is a single photo, or copies of one: single" in text


def test_all_modules_are_judged_by_the_same_photos(settings: dict[str, Any]) -> None:
    """Whatever each of them takes for copies: to the grey one most photos are."""
    found = story.compare(RetrainConfig(**settings, drop_duplicates=True, duplicate_cosine=0.9))
    assert {one.crossed.metrics.count for one in found.contenders} == {90}


def test_an_interrupted_training_goes_on_with_the_module_that_was_chosen(
    settings: dict[str, Any], colour_module: Path, tmp_path: Path
) -> None:
    settings |= {"output_dir": str(tmp_path / "run"), "report_file": ""}
    with pytest.raises(SettingError, match="Name that module with --tfhub_module instead"):
        story.run(RetrainConfig(**settings, resume=True), label_image="label_image")

    class Interrupting:
        def tell(self, finding: object) -> None:
            if isinstance(finding, Trained):
                raise KeyboardInterrupt

        def close(self) -> None: ...

    with pytest.raises(KeyboardInterrupt):
        story.run(RetrainConfig(**settings), label_image="label_image", also=[Interrupting()])
    settings["how_many_training_steps"] = 9
    found = story.run(RetrainConfig(**settings, resume=True), label_image="label_image")
    assert found.compared is None
    assert found.backbone.handle == str(colour_module)
    told = json.loads((tmp_path / "run" / "settings.json").read_text())
    assert told["settings"]["tfhub_module"] == str(colour_module)
    assert told["finished"]
