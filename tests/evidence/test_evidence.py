from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from conftest import colour_statistics, save_module

from image_retraining.backbone.loading import load_backbone
from image_retraining.evidence.evidence import Evidence
from image_retraining.exports.frozen_graph.reader import FrozenGraph
from image_retraining.exports.frozen_graph.writer import build_graph, write_graph
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.records import Head

# Photos of 16 x 12 pixels, in cells of 4 x 4: a map of 4 x 3 places.
RNG = np.random.default_rng(11)
PHOTOS = RNG.uniform(size=(5, 16, 12, 3)).astype(np.float32)
# How much a cell is red, green and blue, more than it is anything else.
COLOUR_WEIGHTS = (1.5 * np.eye(3) - 0.5).astype(np.float32)
DENSE = RNG.normal(size=(3, 3)).astype(np.float32)
HEAD = Head(RNG.normal(size=(3, 2)).astype(np.float32), np.array([0.5, -2.0], np.float32))
RED_OR_BLUE = Head(np.array([[9, 0], [0, 0], [0, 9]], np.float32), np.zeros(2, np.float32))


def feature_map(photos: Any) -> Any:
    """Returns float32 [N, 4, 3, 3], how much each cell is of a colour."""
    kernel = np.tile(COLOUR_WEIGHTS / 16, (4, 4, 1, 1))
    return tf.nn.relu(tf.nn.conv2d(photos, kernel, strides=4, padding="VALID"))


def by_numpy(photos: Any) -> Any:
    """Returns what `feature_map` gives, from the means of cells."""
    cells = np.float64(photos).reshape(-1, 4, 4, 3, 4, 3).mean(axis=(2, 4))
    return np.maximum(cells @ COLOUR_WEIGHTS, 0)


def mean(photos: Any) -> Any:
    return tf.reduce_mean(feature_map(photos), [1, 2])


def mean_from_behind(photos: Any) -> Any:
    return tf.squeeze(tf.reduce_mean(feature_map(photos), [-2, -3], keepdims=True), [1, 2])


def pool_of_all(photos: Any) -> Any:
    pooled = tf.nn.avg_pool2d(feature_map(photos), [4, 3], 1, "VALID")
    return tf.reshape(pooled, [-1, 3])


def padded_pool(photos: Any) -> Any:
    return tf.reshape(tf.nn.avg_pool2d(feature_map(photos), 7, 7, "SAME"), [-1, 3])


def dense(photos: Any) -> Any:
    return tf.nn.relu(mean(photos) @ DENSE)


def highest(photos: Any) -> Any:
    return tf.reduce_max(feature_map(photos), [1, 2])


def channels_first_within(photos: Any) -> Any:
    """Returns what `mean` gives, with channels first until just before the mean."""
    kernel = np.tile(COLOUR_WEIGHTS / 16, (4, 4, 1, 1))
    first = tf.transpose(photos, [0, 3, 1, 2])
    features = tf.nn.relu(tf.nn.conv2d(first, kernel, 4, "VALID", "NCHW"))
    return tf.reduce_mean(tf.transpose(features, [0, 2, 3, 1]), [1, 2])


def sides_swapped_within(photos: Any) -> Any:
    """Returns what `mean` gives; transpositions that leave the channels in their place."""
    features = tf.nn.relu(tf.transpose(feature_map(photos), [0, 2, 1, 3]))
    return tf.reduce_mean(tf.transpose(features, [0, 2, 1, 3]), [1, 2])


POOLED = [
    mean,
    mean_from_behind,
    pool_of_all,
    padded_pool,
    channels_first_within,
    sides_swapped_within,
]


def pool_of_part(features: Any) -> Any:
    return tf.nn.avg_pool2d(features, [4, 2], 1, "VALID")


def first_column(features: Any) -> Any:
    return tf.reshape(features[:, :, 0], [-1, 3])


def sliding_pool(features: Any) -> Any:
    return tf.nn.avg_pool2d(features, 9, 1, "SAME")


def places_side_by_side(features: Any) -> Any:
    return tf.reshape(features, [-1, 36])


def mean_of_rows(features: Any) -> Any:
    return tf.reduce_mean(features, [1, 3])


def highest_of_all(features: Any) -> Any:
    return tf.reduce_max(features, [1, 2])


def two_statistics(features: Any) -> Any:
    return tf.reduce_mean(features, [1, 2]) * tf.reduce_max(features, [1, 2])


def unchanged(features: Any) -> Any:
    return features


def differences(function: Callable[[Any], Any], maps: Any) -> Any:
    """Returns the derivatives of float64 [N] by float64 [N, h, w, D], by central differences."""
    found = np.zeros_like(maps)
    for place in np.ndindex(maps.shape[1:]):
        step = np.zeros_like(maps)
        step[(slice(None), *place)] = 1e-6
        found[(slice(None), *place)] = (function(maps + step) - function(maps - step)) / 2e-6
    return found


def exported(folder: Path, module: Callable[[Any], Any], head: Head | None = None) -> Any:
    """Returns the graph of a head on a module of 16 x 12 photos."""
    backbone = load_backbone(str(save_module(folder / module.__name__, module, (None, 16, 12, 3))))
    if head is None:
        head = Head(np.ones([backbone.feature_size, 2], np.float32), np.zeros(2, np.float32))
    return build_graph(backbone, head, final_tensor_name="final_result")


def evidence(graph_def: Any, output_name: str = "final_result:0") -> Evidence:
    return Evidence(graph_def, "Placeholder:0", output_name)


def squares_in_corners(channel: int) -> Any:
    """Returns float32 [4, 16, 12, 3]: grey, with a coloured square of 4 x 4 near a corner."""
    photos = np.full([4, 16, 12, 3], 0.3, np.float32)
    for photo, (top, left) in zip(photos, [(2, 1), (2, 7), (11, 1), (11, 7)], strict=True):
        photo[top : top + 4, left : left + 4, channel] = 1.0
    return photos


@pytest.mark.parametrize("module", POOLED)
def test_of_a_mean_each_place_has_its_share_in_the_logit(
    tmp_path: Path, module: Callable[[Any], Any]
) -> None:
    graph_def = exported(tmp_path, module, HEAD)
    # Logits as scores show that these, too, can be explained.
    found = evidence(graph_def, "final_retrain_ops/Wx_plus_b/add:0")
    for label_id in (0, 1):
        told = found.explain(PHOTOS, np.full(5, label_id, np.int32))
        # The class activation map, over the number of places.
        wanted = by_numpy(PHOTOS) @ HEAD.weights[:, label_id] / 12
        assert wanted.min() < 0 < wanted.max()
        np.testing.assert_allclose(told.maps, wanted, atol=1e-6)
        logits = told.maps.sum((1, 2)) + HEAD.bias[label_id]
        np.testing.assert_allclose(logits, told.scores[:, label_id], atol=1e-5)


@pytest.mark.parametrize(
    ("last", "after"),
    [
        (pool_of_part, first_column),
        (sliding_pool, places_side_by_side),
        (unchanged, places_side_by_side),
        (unchanged, mean_of_rows),
        (unchanged, highest_of_all),
        (unchanged, two_statistics),
    ],
)
def test_grad_cam_of_what_is_no_mean(
    tmp_path: Path, last: Callable[[Any], Any], after: Callable[[Any], Any]
) -> None:
    maps = last(tf.constant(by_numpy(PHOTOS))).numpy()
    weights = RNG.normal(size=(after(maps).shape[1], 2)).astype(np.float32)

    def module(photos: Any) -> Any:
        return after(last(feature_map(photos)))

    head = Head(weights, np.zeros(2, np.float32))
    told = evidence(exported(tmp_path, module, head)).explain(PHOTOS, np.ones(5, np.int32))
    gradient = differences(lambda changed: after(changed).numpy() @ weights[:, 1], maps)
    wanted = np.einsum("nhwd,nd->nhw", maps, gradient.mean((1, 2)))
    assert np.abs(wanted).max() > 1e-3
    np.testing.assert_allclose(told.maps, wanted, atol=1e-6)


def test_grad_cam_as_its_paper_has_it(tmp_path: Path) -> None:
    features = by_numpy(PHOTOS)
    lit = features.mean((1, 2)) @ DENSE > 0
    assert lit.any()
    assert not lit.all()
    told = evidence(exported(tmp_path, dense, HEAD)).explain(PHOTOS, np.array([0, 1, 0, 1, 0]))
    # The derivative at each of the 12 places, so also its mean over them.
    weights = (lit * HEAD.weights.T[[0, 1, 0, 1, 0]]) @ DENSE.T / 12
    wanted = np.einsum("nhwd,nd->nhw", features, weights)
    assert wanted.min() < -1e-3
    assert wanted.max() > 1e-3
    # Its ReLU is left to the picture.
    np.testing.assert_allclose(told.maps, wanted, atol=1e-6)


@pytest.mark.parametrize("module", [mean, pool_of_all, highest])
@pytest.mark.parametrize(("channel", "label_id"), [(0, 0), (2, 1)])
def test_evidence_is_where_the_object_is(
    tmp_path: Path, module: Callable[[Any], Any], channel: int, label_id: int
) -> None:
    told = evidence(exported(tmp_path, module, RED_OR_BLUE)).explain(squares_in_corners(channel))
    assert told.label_ids.tolist() == [label_id] * 4
    highest_at = told.maps.reshape(4, -1).argmax(axis=1)
    rows, columns = highest_at // 3, highest_at % 3
    assert (rows >= 2).tolist() == [False, False, True, True]
    assert (columns >= 2).tolist() == [False, True, False, True]
    assert set(columns.tolist()) <= {0, 2}


def test_scores_are_the_graphs_and_the_best_label_is_explained(tmp_path: Path) -> None:
    graph_def = exported(tmp_path, mean, HEAD)
    write_graph(tmp_path / "g.pb", graph_def)
    graph = FrozenGraph(tmp_path / "g.pb")
    network = graph.network()
    found = Evidence(network.graph_def, network.input_name, network.output_name)
    told = found.explain(PHOTOS)
    np.testing.assert_allclose(told.scores, graph.scores(PHOTOS), atol=1e-6)
    assert told.label_ids.tolist() == told.scores.argmax(axis=1).tolist()
    same = found.explain(PHOTOS, told.label_ids)
    np.testing.assert_array_equal(told.maps, same.maps)
    # A photo's map does not depend on its neighbours.
    np.testing.assert_allclose(found.explain(PHOTOS[3:4]).maps, told.maps[3:4], atol=1e-6)


def flat_pixels(photos: Any) -> Any:
    return tf.nn.relu(tf.reshape(photos, [-1, 16 * 12 * 3])[:, :6])


def mean_colour(photos: Any) -> Any:
    return tf.reduce_mean(photos, [1, 2])


def smoothed_pixels(photos: Any) -> Any:
    return tf.reshape(tf.nn.avg_pool2d(photos * 2 - 1, 4, 4, "VALID"), [-1, 36])


def blocked_gradient(photos: Any) -> Any:
    return tf.stop_gradient(tf.reduce_max(feature_map(photos), [1, 2]))


def branching(photos: Any) -> Any:
    highest = tf.reduce_max(feature_map(photos), [1, 2])
    return tf.cond(tf.reduce_mean(photos) > 0.5, lambda: highest + 1.0, lambda: highest * 2.0)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (flat_pixels, "there is none"),
        (mean_colour, "there is none"),
        (colour_statistics, "side by side"),
        (smoothed_pixels, "sums of pixels"),
        (blocked_gradient, "no gradient"),
        (branching, "depends on the photo"),
    ],
)
def test_a_graph_without_a_map_is_told_why(
    tmp_path: Path, module: Callable[[Any], Any], reason: str
) -> None:
    with pytest.raises(GraphError, match=rf"convolutional network.*{reason}.*--heatmap_dir"):
        evidence(exported(tmp_path, module))


def channels_first(photos: Any) -> Any:
    first = tf.transpose(photos, [0, 3, 1, 2])
    maps = tf.nn.relu(tf.nn.conv2d(first, tf.ones([1, 1, 3, 4]), 1, "SAME", "NCHW"))
    return tf.reduce_max(maps, [2, 3])


def turned_after_all(photos: Any) -> Any:
    maps = tf.nn.relu(tf.transpose(feature_map(photos), [0, 3, 1, 2]))
    return tf.reduce_mean(maps, [2, 3])


@pytest.mark.parametrize("module", [channels_first, turned_after_all])
def test_channels_must_be_last(module: Callable[[Any], Any]) -> None:
    with tf.Graph().as_default() as graph:
        photos = tf.compat.v1.placeholder(tf.float32, [None, 16, 12, 3], name="Placeholder")
        tf.nn.softmax(module(photos), name="final_result")
    with pytest.raises(GraphError, match="channels first"):
        evidence(graph.as_graph_def())


def test_photos_of_another_size_are_told(tmp_path: Path) -> None:
    with pytest.raises(GraphError, match=r"--graph must take .*\(1, 9, 9, 3\)"):
        evidence(exported(tmp_path, mean)).explain(np.zeros([1, 9, 9, 3], np.float32))
