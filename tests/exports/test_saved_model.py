import os
import pickle
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import COLOURS, encoded, solid
from facts_made_here import facts
from forks import run_script

from image_retraining.backbone.loading import load_backbone
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.exports.saved_model import (
    SavedModel,
    SavedModelFormat,
    writing_saved_model,
)
from image_retraining.exports.versions import FACTS_ASSET, version_folder
from image_retraining.foundation.errors import GraphError, OutputError
from image_retraining.foundation.records import Head
from image_retraining.photos import pixels

LABELS = ("blue", "玫瑰", "b\udcff", "red")
RANDOM = np.random.default_rng(0)
FACTS = facts(labels=LABELS, output_layer="mine")
HEAD = Head(RANDOM.normal(size=(6, 4)).astype(np.float32), np.zeros(4, np.float32))


@pytest.fixture(scope="module")
def graph_def(colour_module: Path) -> Any:
    return build_graph(load_backbone(str(colour_module)), HEAD, final_tensor_name="mine")


@pytest.fixture
def graph(graph_def: Any, tmp_path: Path) -> FrozenGraph:
    write_graph(tmp_path / "g.pb", graph_def)
    return FrozenGraph(tmp_path / "g.pb")


def write(folder: Path, graph_def: Any) -> None:
    with writing_saved_model(
        str(folder),
        graph_def,
        output_layer="mine",
        image_size=(8, 8),
        labels=LABELS,
        assets={FACTS_ASSET: FACTS.as_json().encode()},
    ):
        pass


@pytest.fixture
def saved(tmp_path: Path, graph_def: Any) -> Path:
    write(tmp_path / "saved", graph_def)
    return tmp_path / "saved"


def test_it_is_on_the_disk_before_what_follows(
    tmp_path: Path, graph_def: Any, placed: list[Path]
) -> None:
    # Once: its files were, and its name was not.
    write(tmp_path / "saved", graph_def)
    assert placed == [tmp_path / "saved"]


def signature(folder: Path, name: str) -> Any:
    loaded = tf.saved_model.load(str(folder), tags=["serve"])
    found = loaded.signatures[name]
    found.kept = loaded
    return found


def test_the_promised_signature_answers_as_the_graph_does(saved: Path, graph: FrozenGraph) -> None:
    serving = signature(saved, "serving_default")
    (image,) = serving.structured_input_signature[1].values()
    assert (image.name, image.shape.as_list()) == ("image", [None, 8, 8, 3])
    photos = RANDOM.uniform(size=(3, 8, 8, 3)).astype(np.float32)
    answer = serving(image=tf.constant(photos))
    assert set(answer) == {"prediction"}
    np.testing.assert_allclose(answer["prediction"], graph.scores(photos), atol=1e-6)


FORMATS = ("JPEG", "PNG", "GIF", "BMP")


def test_files_are_decoded_as_in_training(saved: Path, graph: FrozenGraph) -> None:
    kinds = zip(FORMATS, [*COLOURS.values()] * 2, strict=False)
    photos = [
        encoded(solid(colour, noise=40, seed=number, size=9 + number), file_format)
        for number, (file_format, colour) in enumerate(kinds)
    ]
    serving = signature(saved, "serve_bytes")
    (spec,) = serving.structured_input_signature[1].values()
    assert (spec.name, spec.dtype, spec.shape.as_list()) == ("bytes", tf.string, [None])
    answer = serving(bytes=tf.constant(photos))
    assert set(answer) == {"prediction", "label"}
    wanted = graph.scores(np.stack([pixels.pixels(photo, (8, 8)) for photo in photos]))
    np.testing.assert_allclose(answer["prediction"], wanted, atol=1e-6)
    names = [label.encode(errors="surrogateescape") for label in LABELS]
    assert answer["label"].numpy().tolist() == [names[place] for place in wanted.argmax(axis=1)]


@pytest.mark.parametrize("contents", [b"", b"<html>", b"RIFF\0\0\0\0WEBPVP8 "])
def test_an_item_that_is_no_photo_is_named(saved: Path, contents: bytes) -> None:
    good = encoded(solid(COLOURS["red"]))
    with pytest.raises(tf.errors.InvalidArgumentError) as raised:
        signature(saved, "serve_bytes")(bytes=tf.constant([good, good, contents]))
    assert "bytes must be JPEG, PNG, GIF or BMP files; this one is not, from 0:" in str(
        raised.value
    )
    assert "[2]" in str(raised.value)


def test_a_damaged_item_is_an_error(saved: Path) -> None:
    photo = encoded(solid(COLOURS["red"], noise=90, size=40), "JPEG")
    with pytest.raises(tf.errors.InvalidArgumentError):
        signature(saved, "serve_bytes")(bytes=tf.constant([photo[:200]]))


def test_old_servers_know_its_ops(saved: Path) -> None:
    content = (saved / "saved_model.pb").read_bytes()
    assert b"DecodeWebP" not in content
    assert b"DecodeImage" in content


def test_it_reads_back_with_its_labels(saved: Path, graph: FrozenGraph) -> None:
    model = SavedModel(saved)
    assert (model.image_size, model.output_size, model.labels) == ((8, 8), 4, LABELS)
    assert model.facts == FACTS
    photos = RANDOM.uniform(size=(2, 8, 8, 3)).astype(np.float32)
    np.testing.assert_allclose(model.scores(photos), graph.scores(photos), atol=1e-6)
    assert (saved / "assets" / "labels.txt").exists()


def test_it_appears_whole_or_not_at_all(tmp_path: Path, graph_def: Any) -> None:
    base = tmp_path / "model"

    def interrupted() -> None:
        with writing_saved_model(
            str(base / "1"), graph_def, output_layer="mine", image_size=(8, 8), labels=LABELS
        ) as temporary:
            assert SavedModel(temporary).labels == LABELS
            # A server looks for numbers.
            assert not [path for path in base.iterdir() if path.name.isdigit()]
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(base.iterdir()) == []


KILLED = """
import os, pickle, signal, sys
from image_retraining.exports.saved_model import SavedModelFormat, writing_saved_model

with open(sys.argv[1], "rb") as file:
    graph_def = pickle.load(file)
target = SavedModelFormat().target(sys.argv[2])
with writing_saved_model(
    target, graph_def, output_layer="mine", image_size=(8, 8), labels=("a", "b", "c", "d")
):
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_version_whose_writing_was_killed_is_written_by_the_next_run(
    tmp_path: Path, graph_def: Any
) -> None:
    # Once: the folder was refused for what the killed run had left in it.
    (tmp_path / "graph").write_bytes(pickle.dumps(graph_def))
    base = tmp_path / "model"
    write(base / "1", graph_def)
    (tmp_path / "killed.py").write_text(KILLED)
    killed = run_script(str(tmp_path / "killed.py"), str(tmp_path / "graph"), str(base))
    assert killed.returncode == -signal.SIGKILL
    assert len(list(base.glob(".2.*/model/saved_model.pb"))) == 1
    assert version_folder(str(base)) == str(base / "3")
    target = SavedModelFormat().target(str(base))
    assert target == str(base / "2")
    write(Path(target), graph_def)
    assert sorted(path.name for path in base.iterdir()) == ["1", "2"]
    assert sorted(path.name for path in (base / "2").iterdir()) == [
        *("assets", "fingerprint.pb", "saved_model.pb", "variables"),
    ]


def test_a_name_that_is_not_utf_8(tmp_path: Path, graph_def: Any) -> None:
    # Once: ValueError after the training.
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    write(folder, graph_def)
    assert SavedModel(folder).labels == LABELS
    assert os.listdir(tmp_path) == [folder.name]


def test_an_empty_folder_is_filled(tmp_path: Path, graph_def: Any) -> None:
    (tmp_path / "model").mkdir()
    write(tmp_path / "model", graph_def)
    assert SavedModel(tmp_path / "model").labels == LABELS


def test_a_filled_folder_stays_as_it_is(tmp_path: Path, graph_def: Any) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "precious").write_text("kept")
    with pytest.raises(OutputError, match="cannot be written: Directory not empty"):
        write(tmp_path / "model", graph_def)
    assert (tmp_path / "model" / "precious").read_text() == "kept"
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def not_one(path: Path) -> None:
    path.mkdir()


def garbage(path: Path) -> None:
    path.mkdir()
    (path / "saved_model.pb").write_bytes(b"\xff garbage")


def without_signature(path: Path) -> None:
    tf.saved_model.save(tf.Module(), str(path))


@pytest.mark.parametrize("make", [not_one, garbage, without_signature])
def test_a_folder_that_is_no_classifier_is_refused(tmp_path: Path, make: Any) -> None:
    make(tmp_path / "model")
    with pytest.raises(GraphError, match="--graph must be a SavedModel") as raised:
        SavedModel(tmp_path / "model")
    assert str(tmp_path / "model") in str(raised.value)
    assert "\n" not in str(raised.value)


def test_what_another_run_has_written_meanwhile_stays(tmp_path: Path, graph_def: Any) -> None:
    # Once: of two runs that took the same number among versions, one lost its model.
    def write_late() -> None:
        with writing_saved_model(
            str(tmp_path / "2"),
            graph_def,
            output_layer="mine",
            image_size=(8, 8),
            labels=LABELS,
        ):
            write(tmp_path / "2", graph_def)
            (tmp_path / "2/assets/mine").touch()

    with pytest.raises(OutputError, match="2 cannot be written"):
        write_late()
    assert (tmp_path / "2/assets/mine").exists()
    assert [path.name for path in tmp_path.iterdir() if path.name != "g.pb"] == ["2"]
