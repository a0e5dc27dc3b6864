"""What layers make of photos and what excites them, on graphs whose filters are known."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from scipy.signal import correlate

from image_retraining.evidence.convolutions import Convolutions, liveliest
from image_retraining.foundation.errors import GraphError

SIZE = (12, 10)
RANDOM = np.random.default_rng(4)
WEIGHTS = RANDOM.normal(size=[3, 3, 3, 4]).astype(np.float32)
BIAS = np.array([0.1, -0.2, 0.3, 0], np.float32)
# Each sees one colour, and is against the others.
COLOURS = (2 * np.eye(3, dtype=np.float32) - 1).reshape([1, 1, 3, 3])
DEPTHWISE = RANDOM.normal(size=[3, 3, 4, 2]).astype(np.float32)


def graph(layers: Callable[[Any], Any]) -> Any:
    """Returns the GraphDef of layers over photos, and of the mean of what they give."""
    with tf.Graph().as_default() as made:
        photos = tf.compat.v1.placeholder(tf.float32, [None, *SIZE, 3], name="photos")
        tf.reduce_mean(layers(photos), [1, 2], name="vector")
    return made.as_graph_def()


def convolutions(layers: Callable[[Any], Any], *, at_most: int = 4) -> Convolutions:
    return Convolutions(graph(layers), "photos:0", "vector:0", at_most=at_most)


def bent(photos: Any) -> Any:
    return tf.nn.relu(tf.nn.conv2d(photos, WEIGHTS, 1, "VALID") * 2 + BIAS)


def summed(images: Any) -> Any:
    """Returns what WEIGHTS sum up, by SciPy."""
    return np.stack(
        [
            np.stack([correlate(image, WEIGHTS[..., n], "valid")[..., 0] for n in range(4)], -1)
            for image in images
        ]
    )


def test_a_layer_is_a_convolution_with_what_follows_it_alone() -> None:
    found = convolutions(bent)
    images = RANDOM.random(size=[2, *SIZE, 3]).astype(np.float32)
    (maps,) = found.maps(images)
    np.testing.assert_allclose(maps, (summed(images) * 2 + BIAS).clip(0), atol=1e-5)
    assert [layer.channels for layer in found.layers] == [4]
    np.testing.assert_array_equal(found.filters(), WEIGHTS)


def test_what_other_layers_have_a_part_in_is_no_part_of_a_layer() -> None:
    def swish(photos: Any) -> Any:
        sums = tf.nn.conv2d(photos, WEIGHTS, 1, "VALID")
        return sums * tf.sigmoid(sums)

    images = RANDOM.random(size=[1, *SIZE, 3]).astype(np.float32)
    (maps,) = convolutions(swish).maps(images)
    np.testing.assert_allclose(maps, summed(images), atol=1e-5)


def test_layers_are_chosen_from_the_first_to_the_last() -> None:
    def deep(photos: Any) -> Any:
        maps = bent(photos)
        for _ in range(6):
            maps = tf.nn.relu(tf.nn.conv2d(maps, np.ones([1, 1, 4, 4], np.float32), 1, "SAME"))
        return tf.nn.depthwise_conv2d(maps, DEPTHWISE, [1, 1, 1, 1], "SAME")

    found = convolutions(deep, at_most=3)
    assert found.count == 8
    # Half way between the first and the eighth.
    assert [layer.number for layer in found.layers] == [1, 5, 8]
    assert [layer.channels for layer in found.layers] == [4, 4, 8]
    assert [one.shape[-1] for one in found.maps(np.zeros([1, *SIZE, 3], np.float32))] == [4, 4, 8]


def test_filters_of_a_first_layer_by_channels_are_grey() -> None:
    def by_channel(photos: Any) -> Any:
        return tf.nn.depthwise_conv2d(photos, DEPTHWISE[:, :, :3], [1, 1, 1, 1], "SAME")

    filters = convolutions(by_channel).filters()
    assert filters.shape == (3, 3, 1, 6)
    np.testing.assert_array_equal(filters[..., 0, 3], DEPTHWISE[:, :, 1, 1])


def test_what_excites_a_filter_is_what_it_looks_for() -> None:
    found = convolutions(lambda photos: tf.nn.relu(tf.nn.conv2d(photos, COLOURS, 1, "SAME") - 5))
    (layer,) = found.layers
    pictures = found.exciting(layer, [2, 0], SIZE, seed=3)
    assert pictures.shape == (2, *SIZE, 3)
    # Of what is cut off everywhere, too: all of these sums are below 0.
    assert pictures[0].mean(axis=(0, 1)).round(2).tolist() == [0, 0, 1]
    assert pictures[1].mean(axis=(0, 1)).round(2).tolist() == [1, 0, 0]


def test_it_excites_more_than_photos_do_and_equal_seeds_give_equal_pictures() -> None:
    found = convolutions(bent)
    (layer,) = found.layers
    pictures = found.exciting(layer, [0, 1, 2, 3], SIZE, seed=3)
    for filter_id in range(4):
        random = summed(RANDOM.random(size=[50, *SIZE, 3]))[..., filter_id].mean(axis=(1, 2))
        assert summed(pictures)[filter_id, ..., filter_id].mean() > random.max()
    assert pictures.min() >= 0
    assert pictures.max() <= 1
    np.testing.assert_array_equal(pictures, found.exciting(layer, [0, 1, 2, 3], SIZE, seed=3))
    assert (pictures != found.exciting(layer, [0, 1, 2, 3], SIZE, seed=4)).any()


def test_the_liveliest_filters_are_those_that_differ_most() -> None:
    maps = np.zeros([2, 3, 3, 5], np.float32)
    maps[0, 0, 0] = [1, 5, 0, 3, 2]
    assert liveliest(maps, 3).tolist() == [1, 3, 4]
    assert liveliest(maps, 9).tolist() == [0, 1, 2, 3, 4]


def channels_first(photos: Any) -> Any:
    maps = tf.transpose(photos, [0, 3, 1, 2])
    return tf.nn.conv2d(maps, WEIGHTS, 1, "VALID", data_format="NCHW")


@pytest.mark.parametrize(
    ("layers", "problem"),
    [
        (lambda photos: photos * 2, "The module has no convolution."),
        (channels_first, "The module's convolutions have their channels first."),
    ],
)
def test_graphs_without_such_layers_are_told(layers: Any, problem: str) -> None:
    with pytest.raises(GraphError, match=f"^{problem}$"):
        convolutions(layers)
