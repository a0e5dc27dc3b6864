"""Modules of every kind are cut and tuned: TF1, Keras, and large networks."""

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from modules_made_here import save_tf1_hub

from image_retraining.backbone.graphs import parsed_graph
from image_retraining.backbone.loading import Backbone, load_backbone
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats, Head, Ints
from image_retraining.tuning.activations import trunk_backbone
from image_retraining.tuning.cuts import Cut, chosen, cuts
from image_retraining.tuning.flow import Flow
from image_retraining.tuning.tail import Tail
from image_retraining.tuning.trainer import Fitting, Trainer

DRAWS = np.random.default_rng(6)
SETTINGS = Fitting(
    epochs=2,
    learning_rate=0.01,
    weight_decay=0.0,
    batch_size=4,
    label_smoothing=0.0,
    patience=0,
    seed=1,
)


def normal(*shape: int) -> Any:
    return DRAWS.normal(scale=0.5, size=shape).astype(np.float32)


def normalised_twice(photos: Any) -> Any:
    """Returns float32 [N, 6], after two convolutions, each followed by a normalisation."""
    found = photos
    for name, channels, out in (("one", 3, 4), ("two", 4, 6)):
        kernel = tf.compat.v1.get_variable(
            f"{name}/kernel", initializer=normal(3, 3, channels, out)
        )
        parts = [np.abs(normal(out)) + 0.5, normal(out), normal(out), np.abs(normal(out)) + 0.5]
        variables = [
            tf.compat.v1.get_variable(f"{name}/{place}", initializer=part)
            for place, part in enumerate(parts)
        ]
        found = tf.nn.conv2d(found, kernel, 1, "SAME")
        found, *_ = tf.compat.v1.nn.fused_batch_norm(found, *variables, is_training=False)
        found = tf.nn.relu(found)
    return tf.reduce_mean(found, [1, 2])


def keras_file(folder: Path) -> Path:
    model = keras.Sequential(
        [
            layers.Input([8, 8, 3]),
            layers.Conv2D(4, 3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6),
            layers.DepthwiseConv2D(3, padding="same", use_bias=False),
            layers.BatchNormalization(),
            layers.ReLU(6),
            layers.Conv2D(8, 1),
            layers.Activation("swish"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(6, activation="relu"),
            layers.Dense(3, activation="softmax"),
        ]
    )
    for variable in model.variables:
        change = np.abs(DRAWS.normal(scale=0.3, size=variable.shape))
        variable.assign(variable.numpy() + change)
    model.save(folder / "model.keras")
    return folder / "model.keras"


KINDS: dict[str, Any] = {
    "TF1": lambda folder: save_tf1_hub(folder / "module", answer=normalised_twice),
    "Keras": keras_file,
}


class Examples:
    """Activations at a cut."""

    view_count = 0

    def __init__(self, activations: Floats) -> None:
        self.activations = activations
        self.label_ids = (np.arange(len(activations)) % 2).astype(np.int32)

    def rows(self, rows: Ints, view_numbers: Ints) -> Floats:
        assert not view_numbers.any()
        found: Floats = self.activations[rows]
        return found


def answers(backbone: Any, photos: Floats) -> Floats:
    function = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(parsed_graph(backbone.graph), name=""), []
    )
    found: Floats = function.prune(backbone.input_name, backbone.output_name)(
        tf.constant(photos)
    ).numpy()
    return found


def check_is_tuned(backbone: Backbone, cut: Cut, photos: Floats) -> None:
    """Checks that what a training above a cut ends with is what its graph then answers."""
    flow = Flow(backbone)
    below = answers(trunk_backbone(backbone, flow, cut), photos)
    examples = Examples(below.reshape([len(photos), *cut.shape]))
    draws = np.random.default_rng(1).normal(size=[backbone.feature_size, 2])
    head = Head(draws.astype(np.float32), np.zeros(2, np.float32))
    tail = Tail(flow, cut)
    trainer = Trainer(tail, head, SETTINGS, np.ones(2, np.float32))
    before = head.logits(answers(backbone, photos))
    np.testing.assert_allclose(trainer.logits(examples), before, rtol=1e-3, atol=1e-4)
    trainer.train(examples, 1, Progress("", len(photos), shown=False))
    values, after = trainer.of(trainer.numbers())
    nodes = {node.name: node for node in flow.graph_def.node if node.name in values}
    for name, value in values.items():
        assert (value != tf.make_ndarray(nodes[name].attr["value"].tensor)).any(), name
    tuned = backbone.with_graph(tail.graph(values), backbone.output_name, key=b"tuned")
    wanted = after.logits(answers(tuned, photos))
    np.testing.assert_allclose(trainer.logits(examples), wanted, rtol=1e-3, atol=1e-4)
    assert np.abs(wanted - before).max() > 0.01


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("wanted", ["auto", "0", "0.5"])
def test_a_module_is_tuned(tmp_path: Path, kind: str, wanted: str) -> None:
    backbone = load_backbone(str(KINDS[kind](tmp_path)))
    flow = Flow(backbone)
    photos = np.random.default_rng(3).random([8, 8, 8, 3], np.float32)
    check_is_tuned(backbone, chosen(cuts(flow), flow, wanted), photos)


@pytest.mark.real
@pytest.mark.parametrize(
    ("handle", "side", "shape", "share"),
    [
        ("efficientnet_lite0", 224, (7, 7, 192), 0.73),
        # Of photos of 224 pixels, 7 and 14 to a side.
        ("keras:ResNet50:random", 64, (2, 2, 2048), 0.38),
        ("keras:VGG16:random", 64, (4, 4, 512), 0.48),
    ],
)
def test_the_usual_cut_of_large_networks(
    handle: str, side: int, shape: tuple[int, ...], share: float
) -> None:
    backbone = load_backbone(handle, image_size=(side, side))
    flow = Flow(backbone)
    cut = chosen(cuts(flow), flow, "auto")
    assert (cut.shape, round(cut.share_above, 2)) == (shape, share)
    # The others take half a minute each.
    if handle == "efficientnet_lite0":
        photos = np.random.default_rng(3).random([4, side, side, 3], np.float32)
        check_is_tuned(backbone, cut, photos)
