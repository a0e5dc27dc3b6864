"""The tool on real photos and modules: --real-data=FOLDER names where they are.

FOLDER/flower_photos holds class folders; FOLDER/modules holds TF Hub modules; FOLDER/
reference_bottlenecks holds vectors that TF Hub's own mobilenet_v2_100_224 gave for daisies, written
by TF Hub's image_retraining example.
"""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import retrain
from image_retraining.backbone import load_backbone
from image_retraining.bottlenecks import BottleneckCache
from image_retraining.config import RetrainConfig
from image_retraining.engines import EngineChoice
from image_retraining.extraction import extract
from image_retraining.records import Catalog, Extraction, ImageRecord, Split

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def references(real_data: Path) -> dict[str, Any]:
    """Photo → the vector published for it."""
    found = {}
    for file in (real_data / "reference_bottlenecks").iterdir():
        name = file.name.partition("_https")[0]
        path = str(real_data / "flower_photos" / "daisy" / name)
        found[path] = np.array(file.read_text().split(","), np.float32)
    assert len(found) == 40
    return found


def vectors(module: Path, paths: list[str], cache: Path) -> Extraction:
    records = tuple(ImageRecord(path, 0, Split.TRAINING) for path in paths)
    with BottleneckCache(str(cache)) as opened:
        return extract(
            Catalog(("daisy", "other"), records),
            load_backbone(str(module)),
            opened,
            engine=EngineChoice(),
            fail_on_bad_image=True,
        )


@pytest.mark.parametrize("module", ["mobilenet_v2_100_224", "mobilenet_v2_100_224_tf1"])
def test_vectors_are_those_that_the_ancestor_wrote(
    real_data: Path, references: dict[str, Any], tmp_path: Path, module: str
) -> None:
    paths = sorted(references)
    extraction = vectors(real_data / "modules" / module, paths, tmp_path)
    features = extraction.sets[Split.TRAINING].features
    wanted = np.stack([references[path] for path in paths])
    assert float(np.abs(features - wanted).max()) <= 2e-4


def test_flowers_are_learnt(
    real_data: Path, tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    config = RetrainConfig(
        image_dir=str(real_data / "flower_photos"),
        tfhub_module=str(real_data / "modules" / "mobilenet_v2_100_224"),
        named=frozenset({"tfhub_module"}),
        bottleneck_dir=str(tmp_path / "bottlenecks"),
        output_graph=str(tmp_path / "graph.pb"),
        output_labels=str(tmp_path / "labels.txt"),
        summaries_dir=str(tmp_path / "logs"),
        checkpoint_path=str(tmp_path / "checkpoint"),
        how_many_training_steps=1000,
    )
    assert retrain.run(config) == 0
    (line,) = [line for line in logged.messages if line.startswith("Final test accuracy")]
    match = re.fullmatch(r"Final test accuracy = (\d+\.\d)% \(N=90\)", line)
    assert match
    assert float(match[1]) >= 80
    (line,) = [line for line in logged.messages if line.startswith("Verified")]
    assert float(line.split()[-1]) < 1e-4
