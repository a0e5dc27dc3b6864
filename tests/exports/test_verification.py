import contextlib
import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import COLOURS, colour_statistics, encoded, save_module, solid
from facts_made_here import facts

from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.exports.classifier import (
    ZERO_TO_ONE,
    Classifier,
    Layers,
    WithVectors,
)
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.formats import FORMATS
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.predictions import predict
from image_retraining.exports.proof import Verification
from image_retraining.exports.tflite.format import TFLiteFormat
from image_retraining.exports.tflite.reader import TFLiteModel
from image_retraining.exports.tflite.writer import Enclosed, Quantization, write_tflite
from image_retraining.exports.verification import verify, verify_vectors
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.foundation.errors import CacheError, PhotoError, VerificationError
from image_retraining.foundation.records import FeatureSet, Floats, Head, Prediction, Split
from image_retraining.photos.pixels import pixels
from image_retraining.reports.findings import Calibrated, Exported
from image_retraining.retraining import exporting
from image_retraining.retraining.config import EXPORT_FLAGS
from image_retraining.retraining.exporting import ExportSettings

RNG = np.random.default_rng(3)
HEAD = Head(RNG.normal(size=(6, 3)).astype(np.float32), np.zeros(3, np.float32))


@pytest.fixture(scope="module")
def backbone(colour_module: Path) -> Backbone:
    return load_backbone(str(colour_module))


@pytest.fixture
def photos(tmp_path: Path, backbone: Backbone) -> FeatureSet:
    """Six photos of class 0, two of class 1, one of class 2, with their true vectors."""
    engine = EngineChoice().make(backbone)
    label_ids = [0] * 6 + [1, 1, 2]
    paths, vectors, digests = [], [], []
    for number, label_id in enumerate(label_ids):
        colour = list(COLOURS.values())[label_id]
        contents = encoded(solid(colour, noise=20, seed=number))
        path = tmp_path / f"{number}.png"
        path.write_bytes(contents)
        paths.append(str(path))
        digests.append(hashlib.sha256(contents).digest())
        vectors.append(engine(pixels(contents, (8, 8)).numpy()[np.newaxis])[0])
    return FeatureSet(
        np.stack(vectors), np.array(label_ids, np.int32), tuple(paths), tuple(digests)
    )


def asking(model: Classifier) -> Callable[[Sequence[str]], Iterator[Prediction]]:
    return partial(predict, model, image_size=(8, 8), upright=True)


def check(
    tmp_path: Path,
    backbone: Backbone,
    photos: FeatureSet,
    exported: Head,
    at_most: int = 100,
    *,
    head: Head = HEAD,
) -> Verification:
    graph_def = build_graph(backbone, exported, final_tensor_name="final_result")
    write_graph(tmp_path / "g.pb", graph_def)
    return verify(
        asking(FrozenGraph(tmp_path / "g.pb", output_layer="final_result")),
        head,
        photos,
        at_most=at_most,
    )


def test_a_true_export_is_proven(tmp_path: Path, backbone: Backbone, photos: FeatureSet) -> None:
    proof = check(tmp_path, backbone, photos, HEAD)
    assert proof.photo_count == 9
    assert proof.largest_difference < 1e-5


def test_an_export_with_other_weights_is_found_out(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    with pytest.raises(VerificationError, match="as the training did"):
        check(tmp_path, backbone, photos, Head(HEAD.weights * 1.05, HEAD.bias))


def test_an_export_with_labels_in_another_order_is_found_out(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    with pytest.raises(VerificationError, match="as the training did"):
        check(tmp_path, backbone, photos, Head(HEAD.weights[:, ::-1], HEAD.bias))


def test_vectors_of_other_pixels_are_found_out(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    moved = FeatureSet(photos.features + 0.05, photos.label_ids, photos.paths)
    with pytest.raises(VerificationError, match="as the training did"):
        check(tmp_path, backbone, moved, HEAD)


def test_it_is_proven_on_what_can_still_be_read(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet, logged: pytest.LogCaptureFixture
) -> None:
    # Once: one photo that vanished during the training cost the whole export.
    Path(photos.paths[4]).unlink()
    Path(photos.paths[7]).write_bytes(b"no photo")
    assert check(tmp_path, backbone, photos, HEAD).photo_count == 7
    (line,) = [line for line in logged.messages if "any more" in line]
    assert "2 of the 9 photos to prove it on" in line
    assert f"{photos.paths[4]}: No such file" in line
    # The others are asked as before.
    with pytest.raises(VerificationError, match="as the training did"):
        check(tmp_path, backbone, photos, Head(HEAD.weights[:, ::-1], HEAD.bias))


def test_at_least_one_photo_must_be_left(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    for path in photos.paths:
        Path(path).unlink()
    with pytest.raises(PhotoError, match=r"Of 9 none can be read any more; .*No such file"):
        check(tmp_path, backbone, photos, HEAD)


def test_photos_are_taken_evenly_over_the_classes(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    # The first two photos of each class are enough for five; a wrong vector elsewhere is not seen.
    features = photos.features.copy()
    features[2:6] = 0
    wrong = FeatureSet(features, photos.label_ids, photos.paths)
    assert check(tmp_path, backbone, wrong, HEAD, at_most=5).photo_count == 5
    with pytest.raises(VerificationError):
        check(tmp_path, backbone, wrong, HEAD, at_most=6)


def check_tflite(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet, exported: Head, *, exact: bool = True
) -> Verification:
    write_tflite(
        tmp_path / "m.tflite",
        build_graph(backbone, exported, final_tensor_name="final_result"),
        output_layer="final_result",
        quantization=Quantization(),
        enclosed=Enclosed(("blue", "green", "red")),
    )
    return verify(
        asking(TFLiteModel(tmp_path / "m.tflite")),
        HEAD,
        photos,
        exact=exact,
        at_most=100,
    )


def test_a_true_tflite_file_is_proven(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    proof = check_tflite(tmp_path, backbone, photos, HEAD)
    assert (proof.photo_count, proof.same_answers) == (9, 9)
    assert proof.largest_difference < 1e-5
    assert proof.accuracy == proof.head_accuracy


def test_a_tflite_file_of_another_head_is_found_out(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    turned = Head(-HEAD.weights, -HEAD.bias)
    with pytest.raises(VerificationError, match="What is exported must answer as the training did"):
        check_tflite(tmp_path, backbone, photos, turned)
    proof = check_tflite(tmp_path, backbone, photos, turned, exact=False)
    # The least probable label of the head is the most probable one of its opposite.
    assert (proof.photo_count, proof.same_answers) == (9, 0)
    assert proof.largest_difference > 0.5


def doubled(folder: Path) -> Backbone:
    """A backbone whose feature vectors are twice those of the colour module."""
    module = save_module(folder, lambda photos: 2 * colour_statistics(photos))
    return load_backbone(str(module))


# With half the weights its scores are the same.
HALF = Head(HEAD.weights * np.float32(0.5), HEAD.bias)


def check_vectors(
    tmp_path: Path, kind: Format, graph_def: Any, photos: FeatureSet, quantization: str
) -> None:
    """Writes an export of a graph, which answers rightly, and checks its feature vectors."""
    finished = Finished(
        graph_def=graph_def,
        facts=facts(labels=("blue", "green", "red")),
        labels_file=str(tmp_path / "labels.txt"),
        training=photos,
        quantization=quantization,
    )
    with kind.writing(str(tmp_path / "export"), finished) as temporary:
        written = kind.open(str(temporary), Layers(output="final_result"))
        exact = quantization == "none"
        assert verify(asking(written), HEAD, photos, exact=exact, at_most=9).same_answers >= 6
        assert written.features
        asked = partial(
            predict,
            WithVectors(written.streams, written.features),
            image_size=(8, 8),
            upright=True,
            taken=written.pixel_range or ZERO_TO_ONE,
        )
        verify_vectors(asked, HEAD, photos, quantization=quantization, at_most=9)


@pytest.mark.parametrize(
    ("kind", "quantization"),
    [*((kind, "none") for kind in FORMATS), (TFLiteFormat(), "float16"), (TFLiteFormat(), "int8")],
    ids=lambda value: getattr(value, "name", value),
)
def test_feature_vectors_of_another_module_are_found_out(
    tmp_path: Path,
    backbone: Backbone,
    photos: FeatureSet,
    logged: pytest.LogCaptureFixture,
    kind: Format,
    quantization: str,
) -> None:
    true = build_graph(backbone, HEAD, final_tensor_name="final_result")
    check_vectors(tmp_path, kind, true, photos, quantization)
    assert not any("vectors" in message for message in logged.messages)
    other = build_graph(doubled(tmp_path / "m"), HALF, final_tensor_name="final_result")
    if quantization == "int8":
        check_vectors(tmp_path, kind, other, photos, quantization)
        assert "feature vectors of the int8 export are off by 1 of" in logged.messages[-1]
        return
    (tmp_path / "labels.txt").unlink(missing_ok=True)
    with pytest.raises(VerificationError, match=r"vectors of the training\. Half of them are off"):
        check_vectors(tmp_path, kind, other, photos, quantization)


def export_of(
    module: Backbone, head: Head, photos: FeatureSet, folder: Path
) -> tuple[Exported, ...]:
    """Exports a graph, out/g.pb, and returns what came of it."""
    calibrated = Calibrated(
        head=head,
        calibration=None,
        evaluation=None,
        unknown=None,
        problem="",
        in_graph=False,
    )
    places = dict.fromkeys(EXPORT_FLAGS, "") | {"output_graph": str(folder / "out/g.pb")}
    (folder / "out").mkdir(exist_ok=True)
    settings = ExportSettings(
        export_places=places,
        output_labels=str(folder / "out/labels.txt"),
        final_tensor_name="final_result",
        tflite_quantize="none",
        verify_images=9,
        testing_percentage=10,
        validation_percentage=10,
        overwrite=False,
        exif_orientation="apply",
        bottleneck_dir="kept",
    )
    sets = dict.fromkeys(Split, photos)
    with contextlib.ExitStack() as results:
        return exporting.export(calibrated, module, sets, facts(), settings, results)


def test_an_export_of_other_feature_vectors_is_not_kept(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    # Whatever its vectors are, this head gives the same scores.
    head = Head(np.zeros_like(HEAD.weights), np.array([1, 2, 3], np.float32))
    export_of(backbone, head, photos, tmp_path)
    written = (tmp_path / "out/g.pb").read_bytes()
    wanted = r"vectors in kept must be those that the module gives\. Half .* are off by 0\.5 of"
    with pytest.raises(CacheError, match=wanted):
        export_of(doubled(tmp_path / "m"), head, photos, tmp_path)
    assert (tmp_path / "out/g.pb").read_bytes() == written


def test_vectors_that_are_but_nearly_right_accuse_nobody(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet, logged: pytest.LogCaptureFixture
) -> None:
    # Once, of imported vectors: "Please report this", and no graph.
    noise = np.random.default_rng(1).normal(size=photos.features.shape)
    noise *= 0.003 * np.linalg.norm(photos.features) / np.linalg.norm(noise)
    nearly = replace(photos, features=(photos.features + noise).astype(np.float32))
    # To which the first photo is of each class alike.
    sharp = Head(HEAD.weights * 5, -photos.features[0] @ HEAD.weights * 5)
    with pytest.raises(VerificationError):
        check(tmp_path, backbone, nearly, sharp, head=sharp)
    (export,) = export_of(backbone, sharp, nearly, tmp_path)
    assert export.proof
    assert export.proof.photo_count == 9
    assert export.proof.largest_difference < 1e-4
    (line,) = (line for line in logged.messages if "another feature vector in kept" in line)
    assert " of the 9 photos to prove" in line


def test_a_photo_that_was_edited_meanwhile_accuses_nobody(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet, logged: pytest.LogCaptureFixture
) -> None:
    Path(photos.paths[8]).write_bytes(encoded(solid(COLOURS["blue"])))
    (export,) = export_of(backbone, HEAD, photos, tmp_path)
    assert export.proof
    assert export.proof.photo_count == 8
    (line,) = (line for line in logged.messages if "have changed since they were read" in line)
    assert line.startswith("WARNING: 1 of the 9 photos")
    assert line.endswith(photos.paths[8])


def test_where_all_photos_were_edited_there_is_no_proof(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    for number, path in enumerate(photos.paths):
        Path(path).write_bytes(encoded(solid((number, 255, 99))))
    with pytest.raises(PhotoError, match="must stay as they are to the end"):
        export_of(backbone, HEAD, photos, tmp_path)


# Nine photos, whose vectors have the length 1.
UNIT = FeatureSet(
    np.eye(6, dtype=np.float32)[[0, 1, 2, 3, 4, 5, 0, 1, 2]],
    np.array([0, 0, 0, 1, 1, 1, 2, 2, 2], np.int32),
    tuple(f"{number}.png" for number in range(9)),
)
# Of any photo: exp(1), exp(2) and exp(3) by their sum.
PLAIN = Head(np.zeros([6, 3], np.float32), np.array([1, 2, 3], np.float32))
SCORES = [0.09003057, 0.24472847, 0.66524096]


def saying(
    *, off: float, vector_off: float = 0.0, photo_count: int = 1
) -> Callable[[Sequence[str]], Iterator[Prediction]]:
    """Says rightly of UNIT, but of some photos, whose middle score and whose vector are off."""

    def said(paths: Sequence[str]) -> Iterator[Prediction]:
        for path, vector in zip(UNIT.paths, UNIT.features, strict=True):
            if path in paths:
                is_off = int(path[0]) < photo_count
                scores = np.array(SCORES, np.float32) + np.array([0, is_off * off, 0], np.float32)
                moved = vector + np.float32(is_off * vector_off) * np.eye(6, dtype=np.float32)[5]
                yield Prediction(path, np.concatenate([scores, moved]))

    return said


def without_vectors(
    predict_both: Callable[[Sequence[str]], Iterator[Prediction]],
) -> Callable[[Sequence[str]], Iterator[Prediction]]:
    def said(paths: Sequence[str]) -> Iterator[Prediction]:
        for found in predict_both(paths):
            assert found.scores is not None
            yield replace(found, scores=found.scores[:3])

    return said


@pytest.mark.parametrize(
    ("off", "is_near"), [(0.0009, True), (-0.0009, True), (0.0011, False), (-0.0011, False)]
)
def test_a_probability_may_be_off_by_a_thousandth(off: float, *, is_near: bool) -> None:
    told = nullcontext() if is_near else refused("as the training did")
    with told:
        verify(without_vectors(saying(off=off)), PLAIN, UNIT, at_most=9)
    proof = verify(without_vectors(saying(off=off)), PLAIN, UNIT, exact=False, at_most=9)
    assert proof.largest_difference == pytest.approx(abs(off), rel=0.01)
    # Both are counted: of these answers, the label 2 of all, a third is right.
    assert (proof.photo_count, proof.same_answers) == (9, 9)
    assert proof.accuracy == proof.head_accuracy == pytest.approx(1 / 3)
    told = nullcontext() if is_near else refused("alike with feature vectors and without")
    with told:
        verify_vectors(saying(off=off), PLAIN, UNIT, quantization="", at_most=9)


@pytest.mark.parametrize(
    ("quantization", "off", "photo_count", "is_near"),
    [
        ("", 0.009, 9, True),
        ("", 0.011, 9, False),
        ("none", 0.011, 9, False),
        ("float16", 0.09, 9, True),
        ("float16", 0.11, 9, False),
        # Of half of them.
        ("none", 5.0, 4, True),
        ("none", 5.0, 5, False),
    ],
)
def test_vectors_may_be_off_as_far_as_their_numbers_are(
    quantization: str, off: float, photo_count: int, *, is_near: bool
) -> None:
    said = saying(off=0.0, vector_off=off, photo_count=photo_count)
    with nullcontext() if is_near else refused("give the feature vectors of the training"):
        verify_vectors(said, PLAIN, UNIT, quantization=quantization, at_most=9)


@pytest.mark.parametrize(("off", "is_near"), [(0.49, True), (0.51, False)])
def test_of_vectors_in_eight_bits_is_only_warned(
    logged: pytest.LogCaptureFixture, off: float, *, is_near: bool
) -> None:
    said = saying(off=0.0, vector_off=off, photo_count=9)
    verify_vectors(said, PLAIN, UNIT, quantization="int8", at_most=9)
    assert any("int8 export are off" in line for line in logged.messages) == (not is_near)


def test_who_is_to_blame_is_accused(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    def build_another(module: Backbone, head: Head, **names: str) -> Any:
        return build_graph(module, Head(-head.weights, head.bias), **names)

    monkeypatch.setattr(exporting, "build_graph", build_another)
    with pytest.raises(VerificationError, match="must answer as the training did"):
        export_of(backbone, HEAD, photos, tmp_path)
    assert list((tmp_path / "out").iterdir()) == []


def test_other_scores_beside_the_feature_vectors_are_found_out(
    tmp_path: Path, backbone: Backbone, photos: FeatureSet
) -> None:
    write_graph(tmp_path / "g.pb", build_graph(backbone, HEAD, final_tensor_name="final_result"))
    true = FrozenGraph(tmp_path / "g.pb", output_layer="final_result").features
    assert true

    def turned(images: Any) -> tuple[Floats, Floats]:
        scores, vectors = true.with_scores(images)
        return scores[:, ::-1], vectors

    other = refused("alike with feature vectors and without")
    for given, found in ((true.with_scores, nullcontext()), (turned, other)):
        both = WithVectors(1, replace(true, with_scores=given))
        asked = partial(predict, both, image_size=(8, 8), upright=True)
        with found:
            verify_vectors(asked, HEAD, photos, quantization="", at_most=9)


def refused(words: str) -> Any:
    return pytest.raises(VerificationError, match=words)
