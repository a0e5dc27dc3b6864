"""The table of formats: what tells them, and that all keep the promise of a classifier."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from facts_made_here import facts

from image_retraining.backbone.loading import load_backbone
from image_retraining.exports.classifier import Classifier, Layers
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.formats import FORMATS, open_classifier
from image_retraining.exports.frozen_graph.writer import build_graph
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import FeatureSet, Head
from image_retraining.retraining.config import EXPORT_FLAGS, RetrainConfig

LABELS = ("blue", "玫瑰", "red")
RANDOM = np.random.default_rng(0)
HEAD = Head(RANDOM.normal(size=(6, 3)).astype(np.float32), np.zeros(3, np.float32))
NO_PHOTOS = FeatureSet(np.zeros([0, 6], np.float32), np.zeros([0], np.int32), ())
PHOTOS = RANDOM.uniform(size=(5, 8, 8, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def graph_def(colour_module: Path) -> Any:
    return build_graph(load_backbone(str(colour_module)), HEAD, final_tensor_name="final_result")


@pytest.fixture
def finished(graph_def: Any, tmp_path: Path) -> Finished:
    return Finished(
        graph_def=graph_def,
        facts=facts(labels=LABELS),
        labels_file=str(tmp_path / "labels.txt"),
        training=NO_PHOTOS,
    )


def written(kind: Format, finished: Finished, place: Path) -> Classifier:
    with kind.writing(str(place), finished):
        pass
    return open_classifier(str(place))


def probabilities(photos: Any) -> Any:
    """The colour module's features and the head, by NumPy alone."""
    squares = np.square(photos)
    features = 10 * np.concatenate([photos.mean((1, 2)), squares.mean((1, 2))], axis=1)
    powers = np.exp(features @ HEAD.weights)
    return powers / powers.sum(axis=1, keepdims=True)


def test_each_format_has_a_flag_of_retrain() -> None:
    assert tuple(kind.flag for kind in FORMATS) == EXPORT_FLAGS
    places = RetrainConfig(output_graph="g.pb").export_places
    assert places == {"output_graph": "g.pb"} | {kind.flag: "" for kind in FORMATS[1:]}
    assert len({kind.name for kind in FORMATS}) == len(FORMATS)


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
# The name says nothing, or even something wrong.
@pytest.mark.parametrize("name", ["classifier", "classifier.pb", "classifier.tflite"])
def test_the_content_tells_the_format(
    kind: Format, name: str, finished: Finished, tmp_path: Path
) -> None:
    model = written(kind, finished, tmp_path / name)
    assert (model.image_size, model.output_size) == ((8, 8), 3)
    assert model.facts == finished.facts
    assert model.labels == LABELS
    assert str(tmp_path / name) in model.labels_source
    assert model.scores_of_file is None
    np.testing.assert_allclose(model.scores(PHOTOS), probabilities(PHOTOS), atol=1e-5)
    # Any number of photos at a time, also none.
    np.testing.assert_allclose(model.scores(PHOTOS[:1]), probabilities(PHOTOS[:1]), atol=1e-5)
    assert model.scores(PHOTOS[:0]).shape == (0, 3)


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_its_inside_can_be_looked_into_or_an_error_says_what_to_give(
    kind: Format, finished: Finished, tmp_path: Path
) -> None:
    model = written(kind, finished, tmp_path / "m")
    if kind.name in ("graph", "SavedModel"):
        network = model.network()
        assert {network.input_name.partition(":")[0], network.output_name.partition(":")[0]} <= {
            node.name for node in network.graph_def.node
        }
    else:
        with pytest.raises(GraphError, match="Give the frozen graph or the SavedModel"):
            model.network()


@pytest.mark.parametrize("kind", FORMATS, ids=lambda kind: kind.name)
def test_nothing_is_left_when_the_proof_fails(
    kind: Format, finished: Finished, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ValueError, match="proof"), kind.writing(str(tmp_path / "out/m"), finished):
        raise ValueError("no proof")
    assert list((tmp_path / "out").iterdir()) == []
    assert not (tmp_path / "labels.txt").exists()


def test_the_graph_brings_its_labels_and_facts(finished: Finished, tmp_path: Path) -> None:
    written(FORMATS[0], finished, tmp_path / "g.pb")
    assert (tmp_path / "labels.txt").read_text() == "blue\n玫瑰\nred\n"
    assert (tmp_path / "g.pb.json").exists()


def test_layers_can_be_named(finished: Finished, tmp_path: Path) -> None:
    written(FORMATS[0], finished, tmp_path / "g.pb")
    logits = open_classifier(
        str(tmp_path / "g.pb"), Layers(output="final_retrain_ops/Wx_plus_b/add")
    ).scores(PHOTOS)
    powers = np.exp(logits)
    np.testing.assert_allclose(
        powers / powers.sum(axis=1, keepdims=True), probabilities(PHOTOS), atol=1e-5
    )


@pytest.mark.parametrize(
    "content", [None, b"", b"abc", b"\x00" * 100, b"ABCDTFL3", b"\x08", b"\x08\x0a"]
)
def test_what_is_no_classifier_is_told_in_one_line(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "odd.pb"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(GraphError, match=r"odd\.pb") as told:
        open_classifier(str(path))
    assert "\n" not in str(told.value)
