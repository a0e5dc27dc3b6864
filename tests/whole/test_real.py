"""The tool on real photos and modules: --real-data=FOLDER names where they are.

FOLDER/flower_photos holds class folders; FOLDER/modules holds TF Hub modules; FOLDER/
reference_bottlenecks holds vectors that TF Hub's own mobilenet_v2_100_224 gave for daisies, written
by TF Hub's image_retraining example.
"""

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from import_bottlenecks import ImportConfig
from import_bottlenecks import run as run_import
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from image_retraining.backbone.loading import load_backbone
from image_retraining.cache.opening import open_cache
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.evaluation import wrong_labels
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE
from image_retraining.features.extraction import extract
from image_retraining.foundation.records import Catalog, Extraction, ImageRecord, Split
from image_retraining.foundation.settings import part_of
from image_retraining.head.lbfgs import Samples, solve
from image_retraining.photos.folder import scan
from image_retraining.photos.pixels import pixels
from image_retraining.photos.reading import read
from image_retraining.retraining import command, extracting
from image_retraining.retraining.config import RetrainConfig

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
            Catalog(("daisy", "other"), records, "flower_photos"),
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
        # Folds have tests of their own.
        cross_validate=-1,
    )
    assert command.run(config) == 0
    (line,) = [line for line in logged.messages if line.startswith("Final test accuracy")]
    match = re.fullmatch(r"Final test accuracy = (\d+\.\d)% \(N=90\)", line)
    assert match
    assert float(match[1]) >= 80
    (line,) = [line for line in logged.messages if line.startswith("Verified")]
    assert float(line.split()[-1]) < 1e-4


def extracted(config: RetrainConfig, catalog: Catalog, cache: BottleneckCache) -> Extraction:
    backbone = extracting.load(cache, part_of(config, extracting.ModuleSettings))
    settings = part_of(config, extracting.ExtractionSettings)
    return extracting.extract(catalog, backbone, cache, settings)


def test_the_offline_module_has_real_features(real_data: Path) -> None:
    """By a probe: 5 folds of logistic regression on standardised features."""
    config = RetrainConfig(tfhub_module="efficientnet_lite0")
    photos = real_data / "flower_photos"
    catalog = scan(str(photos), validation_percentage=10, testing_percentage=10)
    with BottleneckCache(None) as cache:
        found = extracted(config, catalog, cache)
    sets = found.sets.values()
    order = np.argsort(np.concatenate([photos.paths for photos in sets]))
    features = np.concatenate([photos.features for photos in sets])[order]
    label_ids = np.concatenate([photos.label_ids for photos in sets])[order]
    probe = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedKFold(5)
    assert cross_val_score(probe, features, label_ids, cv=folds).mean() >= 0.86


def test_openvino_gives_the_vectors_of_tensorflow(real_data: Path) -> None:
    backbone = load_backbone(str(real_data / "modules" / "mobilenet_v2_100_224"))
    paths = sorted((real_data / "flower_photos" / "tulips").iterdir())[:BATCH_SIZE]
    photos = np.stack([pixels(read(path), backbone.image_size).numpy() for path in paths])
    ours, theirs = (
        EngineChoice(name).make(backbone)(photos) for name in ("tensorflow", "openvino")
    )
    assert np.abs(ours - theirs).max() <= 1e-4 * np.abs(ours).max()


def test_the_ancestor_s_text_files_are_taken_in(
    real_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    logged: pytest.LogCaptureFixture,
) -> None:
    url = "https://tfhub.dev/google/imagenet/mobilenet_v2_100_224/feature_vector/1"
    hub_cache = tmp_path / "hub"
    # Where tensorflow_hub keeps what it has downloaded from there.
    kept = hub_cache / hashlib.sha1(url.encode(), usedforsecurity=False).hexdigest()
    shutil.copytree(real_data / "modules" / "mobilenet_v2_100_224", kept)
    shutil.copytree(real_data / "reference_bottlenecks", tmp_path / "text" / "daisy")
    for file in (tmp_path / "text" / "daisy").iterdir():
        file.touch()
    photos = str(real_data / "flower_photos")
    given: dict[str, Any] = {"tfhub_module": url, "bottleneck_dir": str(tmp_path / "cache")}
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(hub_cache))
    texts = str(tmp_path / "text")
    assert run_import(ImportConfig(image_dir=photos, text_dir=texts, **given)) == 0
    with open_cache(given["bottleneck_dir"]) as cache:
        config = RetrainConfig(**given)
        catalog = scan(photos, validation_percentage=10, testing_percentage=10)
        few = [record for place, record in enumerate(catalog.records) if place % 10 == 0]
        few += [record for record in catalog.records if record.label_id == 0]
        catalog = replace(catalog, records=tuple(dict.fromkeys(few)))
        extracted(config, catalog, cache)
    messages = "\n".join(logged.messages)
    assert "Imported the bottlenecks of 40 photos" in messages
    assert (
        f"{len(catalog.records) - 40} computed, 0 copies of others, 40 from the cache" in messages
    )


@pytest.fixture(scope="module")
def flowers(real_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Extraction:
    """The vectors of all flowers, of the quickest module."""
    config = RetrainConfig(tfhub_module=str(real_data / "modules" / "mobilenet_v1_025_224"))
    photos = real_data / "flower_photos"
    catalog = scan(str(photos), validation_percentage=10, testing_percentage=10)
    with open_cache(str(tmp_path_factory.mktemp("cache"))) as cache:
        return extracted(config, catalog, cache)


def test_most_wrong_labels_of_flowers_are_found(flowers: Extraction) -> None:
    """Of labels of which 1 in 20 was changed at random."""
    random = np.random.default_rng(0)
    changed: set[str] = set()
    sets = {}
    for split, photos in flowers.sets.items():
        label_ids = photos.label_ids.copy()
        for place in np.flatnonzero(random.random(len(photos)) < 0.05).tolist():
            label_ids[place] = (label_ids[place] + random.integers(1, 5)) % 5
            changed.add(photos.paths[place])
        sets[split] = replace(photos, label_ids=label_ids)
    found = [issue.path for issue in wrong_labels.find(sets, seed=0)]
    assert len(changed & set(found)) >= 0.6 * len(changed)
    top = found[: len(changed)]
    assert len(changed & set(top)) >= 0.55 * len(changed)


def test_the_solved_head_is_that_of_scikit_learn(flowers: Extraction) -> None:
    training = flowers.sets[Split.TRAINING]
    count, l2 = len(training), 0.03
    samples = Samples([training.features], [training.label_ids], [np.ones([count], np.float32)], 5)
    ours = solve(samples, l2=l2)
    theirs = LogisticRegression(C=1 / (l2 * count), max_iter=5000, tol=1e-6)
    features = training.features.astype(np.float64)
    logs = theirs.fit(features, training.label_ids).predict_log_proba(features)
    loss = -logs[np.arange(count), training.label_ids].mean()
    loss += l2 / 2 * np.square(theirs.coef_).sum()
    assert ours.loss == pytest.approx(loss, rel=1e-4)
