"""Labelling from Python, with a classifier that retrain.py has written."""

import io
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from conftest import COLOURS, encoded, save_module, solid
from PIL import Image

import image_retraining
from image_retraining.foundation.errors import GraphError, PhotoError, SettingError
from image_retraining.labelling import command
from image_retraining.labelling.config import LabelConfig
from image_retraining.photos import pixels
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, colour_module: Path) -> Path:
    """The folder of a run on solid colours."""
    base = tmp_path_factory.mktemp("trained")
    for label, colour in COLOURS.items():
        (base / "photos" / label).mkdir(parents=True)
        for number in range(30):
            photo = base / "photos" / label / f"{label}_{number:02}.png"
            photo.write_bytes(encoded(solid(colour, noise=9, seed=number)))
    config = RetrainConfig(
        image_dir=str(base / "photos"),
        tfhub_module=str(colour_module),
        bottleneck_dir=str(base / "cache"),
        output_dir=str(base / "run"),
        saved_model_dir="saved",
        optimizer="lbfgs",
        cross_validate=-1,
        report_file="",
        # By their names 57 photos validate, enough for a temperature and a threshold.
        validation_percentage=60,
        named=frozenset({"tfhub_module"}),
    )
    run(config, label_image="label-image")
    return base / "run"


@pytest.fixture(scope="module")
def classifier(folder: Path) -> Any:
    return image_retraining.load(folder)


def rows(capsys: Any, folder: Path, *photos: str, **settings: Any) -> list[str]:
    """Returns the rows of CSV that label_image.py prints."""
    assert command.run(LabelConfig(graph=str(folder), image=photos, format="csv", **settings)) == 0
    printed: str = capsys.readouterr().out
    return printed.splitlines()[1:]


def test_a_program_gets_what_the_script_prints(
    folder: Path, classifier: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = sorted(map(str, (folder.parent / "photos").rglob("*_0[0-4].png")))
    printed = rows(capsys, folder, *paths)
    labelled = classifier.predict(paths)
    assert [photo.path for photo in labelled] == paths
    for photo, row in zip(labelled, printed, strict=True):
        path, error, unknown, label, score = row.split(",")[:5]
        assert (path, error, label) == (photo.path, "", photo.label)
        assert float(score) == pytest.approx(photo.score, abs=1e-6)
        assert unknown == ""
        assert photo.scores.shape == (3,)
        assert photo.scores.dtype == np.float32
        assert photo.scores[classifier.labels.index(photo.label)] == photo.score
        assert photo.scores.sum() == pytest.approx(1, abs=1e-5)
    assert [photo.label for photo in labelled] == [Path(path).parent.name for path in paths]


RED = solid(COLOURS["red"], noise=9, seed=99)


def test_a_photo_may_be_a_file_a_picture_or_an_array(classifier: Any, tmp_path: Path) -> None:
    # Sizes other than the module's, so that all have to be resized alike.
    picture = np.random.default_rng(5).integers(0, 256, [37, 50, 3]).astype(np.uint8)
    file = tmp_path / "photo.png"
    file.write_bytes(encoded(picture))
    kinds = {
        "text": str(file),
        "path": file,
        "array": picture,
        "floats": np.float64(picture) / 255,
        "Pillow": Image.fromarray(picture),
        "with transparency": Image.fromarray(picture).convert("RGBA"),
    }
    answers = {name: classifier.predict(photo) for name, photo in kinds.items()}
    wanted = answers["text"][0]
    for name, (answer,) in answers.items():
        np.testing.assert_allclose(answer.scores, wanted.scores, atol=1e-6, err_msg=name)
        assert answer.path == (str(file) if name in ("text", "path") else "")
    together = classifier.predict(list(kinds.values()))
    assert [answer.path for answer in together] == [str(file)] * 2 + [""] * 4
    assert [a.scores.tolist() for a in together] == [
        pytest.approx(a.scores.tolist(), abs=1e-6) for (a,) in answers.values()
    ]


def test_several_arrays_are_several_photos(classifier: Any) -> None:
    photos = np.stack([solid(colour) for colour in COLOURS.values()])
    assert [photo.label for photo in classifier.predict(photos)] == list(COLOURS)
    assert classifier.predict([]) == []
    assert len(classifier.predict(iter([RED, RED]))) == 2


def test_folders_are_the_photos_in_them(classifier: Any, folder: Path) -> None:
    red = folder.parent / "photos/red"
    labelled = classifier.predict([red, RED])
    assert len(labelled) == 31
    assert {Path(photo.path).parent for photo in labelled[:-1]} == {red}
    assert {photo.label for photo in labelled} == {"red"}


class Odd:
    """An object that fails to say what it is."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        if self.name == "__repr__":
            raise LookupError
        return "Odd"

    def __fspath__(self) -> Any:
        return 5

    def __array__(self, dtype: Any = None, copy: Any = None) -> Any:
        if self.name == "__array__":
            raise RuntimeError("neither")
        return np.array(None)


@pytest.mark.parametrize(
    ("photo", "got"),
    [
        (np.zeros([8, 8], np.uint8), r"uint8 \[8, 8\]"),
        ([np.zeros([8, 8, 4], np.uint8)], r"uint8 \[8, 8, 4\]"),
        ([np.zeros([3, 8, 8], np.uint8)], r"uint8 \[3, 8, 8\]"),
        ([np.zeros([8, 8, 3], np.int64)], r"int64 \[8, 8, 3\], 0 to 0"),
        ([np.full([8, 8, 3], 255.0)], r"float64 \[8, 8, 3\], 255 to 255"),
        ([np.full([8, 8, 3], -0.1)], r"-0\.1 to -0\.1"),
        ([np.full([8, 8, 3], np.nan)], "nan"),
        ([np.zeros([0, 8, 3], np.uint8)], r"uint8 \[0, 8, 3\]"),
        ([None], "None"),
        ([b"rose.jpg"], "rose"),
        # Once: TypeError, ValueError, and "int64 [], 114 to 114".
        (None, "None"),
        (5, r"int64 \[\]"),
        (1.5, "float64"),
        (object(), "<object"),
        (np.array("rose.jpg"), "rose"),
        (b"rose.jpg", "b'rose.jpg'"),
        ([[1, 2], [3]], r"int64 \[2\]"),
        ([[[1, 2], [3]]], r"\[\[1, 2\], \[3\]\], which is no array: .*inhomogeneous"),
        (Odd("__fspath__"), "Odd"),
        (Odd("__array__"), "Odd.*, which is no array: neither"),
        (Odd("__repr__"), "<Odd instance"),
        (pd.DataFrame({"path": ["rose.jpg"]}), r"path 0 rose\.jpg"),
    ],
)
def test_what_is_no_photo_is_told(classifier: Any, photo: Any, got: str) -> None:
    with pytest.raises(SettingError, match=f"A photo must be a file, a picture.*Got .*{got}"):
        classifier.predict(photo)


def test_a_photo_that_cannot_be_read(classifier: Any, tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(encoded(RED))
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    paths = [tmp_path / name for name in ("good.png", "bad.jpg", "missing.jpg", "good.png")]
    with pytest.raises(PhotoError, match=r"bad\.jpg cannot be read: .*on_bad_image='skip'"):
        classifier.predict(paths)
    labelled = classifier.predict(paths, on_bad_image="skip")
    assert [photo.label for photo in labelled] == ["red", None, None, "red"]
    assert labelled[2].error == "No such file or directory"
    assert labelled[1].scores.shape == (0,)
    assert labelled[1].unknown
    with pytest.raises(SettingError, match="on_bad_image must be one of fail, skip"):
        classifier.predict(paths, on_bad_image="ignore")


def unreadable(kind: str, folder: Path) -> tuple[Any, str]:
    """Returns what a program may give that is no readable photo, and the path it has."""
    contents = encoded(solid(COLOURS["red"], noise=90, size=100))
    if kind == "empty folder":
        (folder / "empty").mkdir()
        return folder / "empty", str(folder / "empty")
    if kind == "cut picture":
        return Image.open(io.BytesIO(contents[: len(contents) // 2])), ""
    if kind in ("closed picture", "left picture"):
        (folder / "photo.png").write_bytes(contents)
        picture = Image.open(folder / "photo.png")
        if kind == "closed picture":
            picture.close()
        else:
            with picture:
                pass
        return picture, ""
    return kind, kind


@pytest.mark.parametrize(
    ("kind", "name", "reason"),
    [
        ("empty folder", r".*/empty", "the folder has no photos"),
        ("cut picture", "Picture 2 of 3", "truncated|broken"),
        ("closed picture", "Picture 2 of 3", "closed"),
        ("left picture", "Picture 2 of 3", "closed"),
        ("-", "-", "No such file or directory"),
        ("", "Picture 2 of 3", "its name is empty"),
        ("a\0b.jpg", r"a\\x00b\.jpg", "no file can have such a name.* null"),
        ("\ud800.jpg", r"\\ud800\.jpg", "no file can have such a name"),
    ],
)
def test_what_cannot_be_read_fails_or_is_skipped(
    classifier: Any, tmp_path: Path, kind: str, name: str, reason: str
) -> None:
    photo, path = unreadable(kind, tmp_path)
    with pytest.raises(PhotoError, match=f"^{name} cannot be read: .*({reason}).*='skip'") as told:
        classifier.predict([RED, photo, RED])
    assert str(told.value).isprintable()
    labelled = classifier.predict([RED, photo, RED], on_bad_image="skip")
    assert [one.label for one in labelled] == ["red", None, "red"]
    assert labelled[1].path == path
    assert re.search(reason, labelled[1].error)
    assert classifier.predict(photo, on_bad_image="skip")[0].error == labelled[1].error
    with pytest.raises(SettingError, match="A photo must be"):
        classifier.predict([photo, None], on_bad_image="skip")


def test_a_file_may_be_called_as_standard_input_is(
    classifier: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("-").write_bytes(encoded(RED))
    assert [(one.path, one.label) for one in classifier.predict("-")] == [("-", "red")]


def test_a_deep_picture_is_answered_as_its_file(classifier: Any, tmp_path: Path) -> None:
    file = tmp_path / "deep.png"
    deep = np.random.default_rng(5).integers(0, 65536, [37, 50]).astype(np.uint16)
    Image.fromarray(deep).save(file)
    with Image.open(file) as picture:
        assert picture.mode == "I;16"
        of_file, of_picture = classifier.predict([file, picture])
    np.testing.assert_allclose(of_picture.scores, of_file.scores, atol=1e-6)


def test_what_is_unsure_is_unknown(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    grey = np.full([8, 8, 3], 128, np.uint8)
    never = image_retraining.load(folder, unknown_threshold=0.0)
    always = image_retraining.load(folder, unknown_threshold=1.0)
    assert [c.predict(grey)[0].unknown for c in (never, always)] == [False, True]
    # The threshold that came with the graph, as --unknown_threshold=auto has it.
    printed = rows(capsys, folder, str(folder.parent / "photos"), unknown_threshold="auto")
    labelled = image_retraining.load(folder).predict(folder.parent / "photos")
    unknown = {photo.path for photo in labelled if photo.unknown}
    assert unknown == {row.split(",")[0] for row in printed if row.split(",")[2]}


def test_all_formats_are_opened_and_agree(folder: Path) -> None:
    scores = [
        image_retraining.load(path).predict(RED)[0].scores
        for path in (folder, folder / "model.pb", folder / "saved")
    ]
    for other in scores[1:]:
        np.testing.assert_allclose(other, scores[0], atol=1e-5)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"labels": "none.txt"}, "--labels must be a labels file"),
        ({"input_height": 9}, "--input_height must fit the graph"),
        ({"unknown_threshold": 2}, "--unknown_threshold must be a probability"),
        ({"output_layr": "x"}, r"Got output_layr\. Did you mean output_layer\?"),
        ({"top_k": 3}, r"A setting must be one of label_image\.py's\. Got top_k\."),
    ],
)
def test_settings_that_cannot_be_used(folder: Path, settings: Any, words: str) -> None:
    with pytest.raises(image_retraining.RetrainError, match=words):
        image_retraining.load(folder, **settings)


KINDS = (
    "--graph must be the folder of a run, a frozen graph, a TensorFlow Lite or an ONNX file, or "
    "the folder of a SavedModel. Got "
)
LABELS_FILE = "--labels must be a labels file, one label a line. Got "
ASKED_TWICE = """
import sys, image_retraining
from image_retraining.labelling import command
from image_retraining.labelling.config import LabelConfig
graph, settings = {graph!r}, {settings!r}
config = LabelConfig(graph=graph, image=("x",), named=frozenset(["graph", *settings]), **settings)
for work in (lambda: image_retraining.load(graph, **settings), lambda: command.run(config)):
    try:
        work()
    except image_retraining.RetrainError as error:
        print(error)
assert "tensorflow" not in sys.modules
"""


@pytest.mark.parametrize(
    ("graph", "labels", "words"),
    [
        ("nope", None, f"{KINDS}nope, which does not exist."),
        ("", None, f"{KINDS}an empty name."),
        ("a\0b", None, f"{KINDS}a\\x00b, which does not exist."),
        ("model.pb", "nope", f"{LABELS_FILE}nope, which does not exist."),
        ("model.pb", "", f"{LABELS_FILE}an empty name."),
        ("model.pb", "a\0b", f"{LABELS_FILE}a\\x00b, which does not exist."),
        (
            "unfinished",
            None,
            "--graph must be a classifier, or the folder of a finished run. Got u",
        ),
    ],
)
def test_what_is_not_there_is_told_before_tensorflow_starts(
    tmp_path: Path, graph: str, labels: str | None, words: str
) -> None:
    (tmp_path / "model.pb").write_bytes(b"a graph")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished/settings.json").write_text(
        '{"finished": null, "settings": {"output_graph": "model.pb"}}'
    )
    settings = {} if labels is None else {"labels": labels}
    code = ASKED_TWICE.format(graph=graph, settings=settings)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    of_load, of_script = done.stdout.splitlines()
    assert of_load == of_script
    assert of_load.startswith(words)


def edges(photos: Any) -> Any:
    """Returns float32 [N, 16]: means of a map, as the module of colours has none."""
    kernel = np.random.default_rng(0).normal(size=[5, 5, 3, 16]).astype(np.float32)
    return tf.reduce_mean(tf.nn.relu(tf.nn.conv2d(photos, kernel, 4, "VALID")), [1, 2])


def test_a_heat_map_is_a_picture(
    tmp_path_factory: pytest.TempPathFactory, capsys: pytest.CaptureFixture[str]
) -> None:
    base = tmp_path_factory.mktemp("shapes")
    config = RetrainConfig(
        image_dir=str(ROOT / "sample_images"),
        tfhub_module=str(save_module(base / "module", edges, (None, 64, 64, 3))),
        bottleneck_dir=str(base / "cache"),
        output_dir=str(base / "run"),
        optimizer="lbfgs",
        cross_validate=-1,
        report_file="",
        verify_images=0,
        named=frozenset({"tfhub_module"}),
    )
    run(config, label_image="label-image")
    classifier = image_retraining.load(base / "run")
    file = ROOT / "sample_images/star/star_124.jpg"
    rows(capsys, base / "run", str(file), heatmap_dir=str(base / "maps"))
    (written,) = (base / "maps").iterdir()
    picture = classifier.heatmap(file)
    with Image.open(file) as photo, Image.open(written) as of_script:
        assert picture.size == photo.size
        # It stands on the right of the script's, enlarged there to 320 pixels, with a legend below.
        scale = 320 / max(photo.size)
        width, height = (round(side * scale) for side in photo.size)
        corner = (of_script.width - 16 - width, of_script.height - 50 - height)
        right = of_script.crop((*corner, corner[0] + width, corner[1] + height))
        apart = np.asarray(picture.resize(right.size), np.float32) - np.asarray(right, np.float32)
        assert np.abs(apart).mean() < 6
    best = classifier.predict(file)[0].label
    assert classifier.heatmap(file, best) == picture
    resized = []
    of_array = pixels.of_array

    def noted(photo: Any, size: tuple[int, int]) -> Any:
        resized.append(size)
        return of_array(photo, size)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixels, "of_array", noted)
        assert classifier.heatmap(file) == picture
    assert resized == [classifier.image_size]
    other = next(label for label in classifier.labels if label != best)
    assert classifier.heatmap(file, other) != picture
    with pytest.raises(SettingError, match=r"label must be one of circle, .* Got moon"):
        classifier.heatmap(file, "moon")
    with pytest.raises(PhotoError, match="cannot be read"):
        classifier.heatmap(base / "none.jpg")
    with pytest.raises(PhotoError, match=r"^The picture cannot be read: .*truncated"):
        classifier.heatmap(Image.open(io.BytesIO(file.read_bytes()[:2000])))


@pytest.mark.parametrize("label", [None, "b"])
@pytest.mark.parametrize("photo", [np.zeros([8, 8, 3], np.uint8), "missing.jpg"])
def test_a_classifier_of_files_says_that_it_has_no_map(
    tmp_path: Path, photo: Any, label: str | None
) -> None:
    with tf.Graph().as_default() as graph:
        contents = tf.constant(b"", name="DecodeJpeg/contents")
        photos = tf.cast(tf.io.decode_jpeg(contents, channels=3), tf.float32)[tf.newaxis]
        tf.nn.softmax(tf.reduce_mean(photos, [1, 2]), name="final_result")
    (tmp_path / "files.pb").write_bytes(graph.as_graph_def().SerializeToString())
    (tmp_path / "abc.txt").write_text("a\nb\nc\n")
    classifier = image_retraining.load(tmp_path / "files.pb", labels=tmp_path / "abc.txt")
    assert classifier.image_size == (0, 0)
    with pytest.raises(GraphError, match=r"for graphs of pixels.*--input_layer"):
        classifier.heatmap(photo, label)


def test_a_classifier_without_a_map_says_so(classifier: Any) -> None:
    with pytest.raises(GraphError, match="map"):
        classifier.heatmap(RED)


def test_importing_the_package_costs_nothing() -> None:
    code = (
        "import sys, image_retraining; assert not {'numpy', 'absl'} & set(sys.modules); "
        "print(image_retraining.__version__); image_retraining.train; "
        "assert 'tensorflow' not in sys.modules; image_retraining.load; "
        "assert 'tensorflow' not in sys.modules"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{image_retraining.__version__}\n"
    code = (
        "import sys, image_retraining; names = dir(image_retraining); "
        "assert 'numpy' not in sys.modules; print(*sorted({*image_retraining.__all__} - {*names}));"
        "from image_retraining import *; print(train.__name__, load.__name__); RetrainError"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "\ntrain load\n"
    with pytest.raises(AttributeError, match="has no attribute 'fit'"):
        _ = image_retraining.fit


def test_damaged_photos_are_labelled_and_told_but_not_where_most_is_missing(
    folder: Path, classifier: Any, tmp_path: Path, capsys: Any
) -> None:
    noise = np.random.default_rng(3).integers(0, 256, [160, 80, 3])
    contents = encoded(noise, "JPEG")
    start = contents.index(b"\xff\xda") + 14
    for name, share in {"a": 0.8, "b": 0.2, "c": 1.0}.items():
        end = start + int((len(contents) - start) * share)
        (tmp_path / f"{name}.jpg").write_bytes(contents[:end].rstrip(b"\xff\xd9") + b"\xff\xd9")
    for one in (classifier, image_retraining.load(folder / "saved")):
        mostly_there, mostly_missing, whole = one.predict(tmp_path, on_bad_image="skip")
        assert mostly_there.label in one.labels
        assert mostly_there.damage.startswith("about 1")
        assert (mostly_missing.label, mostly_missing.damage) == (None, "")
        assert re.match(r"about (7|8)\d% of it is missing", mostly_missing.error)
        assert (whole.damage, whole.error) == ("", "")
    assert command.run(LabelConfig(graph=str(folder), image=(str(tmp_path),), format="csv")) == 2
    printed = capsys.readouterr()
    first, second = printed.err.splitlines()
    assert first == f"WARNING: {mostly_there.path}: {mostly_there.damage}"
    assert second == f"ERROR: {mostly_missing.path}: {mostly_missing.error}"
    assert len(printed.out.splitlines()) == 4
