"""One classifier that several threads ask at once."""

import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import image_retraining
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

ROOT = Path(__file__).resolve().parents[2]
STAR = ROOT / "sample_images/star/star_124.jpg"
THREADS, PHOTOS, TIMES = 4, 4, 3
KINDS = ["model.pb", "saved", "m.tflite", "m.onnx"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run whose classifier is there in all formats, and has a map of features."""
    base = tmp_path_factory.mktemp("shapes")
    config = RetrainConfig(
        image_dir=str(ROOT / "sample_images"),
        tfhub_module="builtin",
        image_size="96",
        bottleneck_dir=str(base / "cache"),
        output_dir=str(base / "run"),
        saved_model_dir="saved",
        tflite_output_file="m.tflite",
        onnx_output_file="m.onnx",
        optimizer="lbfgs",
        verify_images=0,
        cross_validate=-1,
        report_file="",
        named=frozenset({"tfhub_module"}),
    )
    run(config, label_image="label-image")
    return base / "run"


@pytest.fixture
def hurried() -> Iterator[None]:
    """Lets Python change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Returns what the work gives of each photo, a row a time that it was asked."""
    with ThreadPoolExecutor(THREADS) as threads:
        found = list(threads.map(work, [*range(PHOTOS)] * TIMES))
    return [found[start : start + PHOTOS] for start in range(0, len(found), PHOTOS)]


def photos() -> list[Any]:
    sizes = np.random.default_rng(3)
    return [sizes.integers(0, 256, [40, 50, 3]).astype(np.uint8) for _ in range(PHOTOS)]


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", KINDS)
def test_threads_get_the_answers_that_one_gets(folder: Path, kind: str) -> None:
    # Once: GraphError of TensorFlow Lite files, whose interpreter has memory for one batch.
    classifier = image_retraining.load(folder / kind)
    given = photos()

    def scores(number: int) -> Any:
        # Batches of files are of another size.
        asked = [given[number], STAR] if number == 0 else given[number]
        return classifier.predict(asked)[0].scores

    wanted = [scores(number) for number in range(PHOTOS)]
    assert len({one.tobytes() for one in wanted}) == PHOTOS
    for found in at_once(scores):
        np.testing.assert_allclose(found, wanted, atol=1e-5)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize("kind", ["model.pb"])
def test_threads_get_the_heat_maps_that_one_gets(folder: Path, kind: str) -> None:
    given = photos()
    alone = image_retraining.load(folder / kind)
    wanted = [np.asarray(alone.heatmap(photo), np.float32) for photo in given]
    # The first ones make together what all need.
    classifier = image_retraining.load(folder / kind)
    for found in at_once(lambda number: np.asarray(classifier.heatmap(given[number]), np.float32)):
        np.testing.assert_allclose(found, wanted, atol=1)
