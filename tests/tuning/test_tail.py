"""A network in two parts: the whole is what it was, and its gradients are TensorFlow's."""

from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from networks_made_here import WEIGHTS, loaded_network, stages

from image_retraining.backbone.graphs import parsed_graph
from image_retraining.backbone.loading import Backbone
from image_retraining.tuning.activations import trunk_backbone
from image_retraining.tuning.cuts import chosen, cuts
from image_retraining.tuning.flow import Flow
from image_retraining.tuning.tail import Tail

PHOTOS = np.random.default_rng(3).random([5, 8, 8, 3], dtype=np.float32)


@pytest.fixture(scope="module")
def network(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    return loaded_network(tmp_path_factory.mktemp("modules") / "network")


def answered(graph: bytes, inputs: str, output: str) -> Any:
    """Returns what a graph makes of the photos."""
    function = tf.compat.v1.wrap_function(
        lambda: tf.graph_util.import_graph_def(parsed_graph(graph), name=""), []
    )
    return function.prune(inputs, output)(tf.constant(PHOTOS)).numpy()


@pytest.mark.parametrize("place", range(8))
def test_both_parts_are_the_whole(network: Backbone, place: int) -> None:
    flow = Flow(network)
    cut = cuts(flow)[place]
    trunk = trunk_backbone(network, flow, cut)
    found = answered(trunk.graph, trunk.input_name, trunk.output_name)
    assert found.shape == (5, int(np.prod(cut.shape)))
    features = tf.function(Tail(flow, cut).features)(found.reshape([5, *cut.shape]))
    np.testing.assert_allclose(features, stages(PHOTOS, WEIGHTS)[-1], atol=1e-6)
    assert trunk.fingerprint != network.fingerprint
    assert len(trunk.fingerprint) == 64


def test_gradients_are_those_of_tensorflow(network: Backbone) -> None:
    flow = Flow(network)
    # After the sum: above are the second convolution, its bias, and the last layer.
    cut = cuts(flow)[3]
    tail = Tail(flow, cut)
    activations = stages(PHOTOS, WEIGHTS)[1].numpy()

    @tf.function
    def ours(values: Any) -> Any:
        read = [one.read_value() for one in tail.weights.values()]
        features = tail.features(values, dict(zip(tail.weights, read, strict=True)))
        return tf.gradients(tf.reduce_sum(features**2), read)

    variables = [tf.Variable(one) for one in WEIGHTS]
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(stages(PHOTOS, tuple(variables))[-1] ** 2)
    wanted = tape.gradient(loss, variables[3:])
    found = {one.shape: one.numpy() for one in ours(activations)}
    assert len(found) == 3
    for one in wanted:
        np.testing.assert_allclose(found[one.shape], one.numpy(), rtol=1e-4, atol=1e-5)


def test_other_weights_are_in_the_graph_and_the_rest_is_as_it_was(network: Backbone) -> None:
    flow = Flow(network)
    tail = Tail(flow, cuts(flow)[3])
    values = {name: one.numpy() + 0.25 for name, one in tail.weights.items()}
    graph = tail.graph(values)
    moved = tuple(one if place < 3 else one + 0.25 for place, one in enumerate(WEIGHTS))
    found = answered(graph, network.input_name, network.output_name)
    np.testing.assert_allclose(found, stages(PHOTOS, moved)[-1], rtol=1e-5)
    before = {node.name: node for node in flow.graph_def.node}
    after = {node.name: node for node in parsed_graph(graph).node}
    assert set(before) == set(after)
    changed = {name for name, node in after.items() if node != before[name]}
    assert changed == set(values)
    # As it was given, it is the graph that it was.
    same = tail.graph({name: one.numpy() for name, one in tail.weights.items()})
    assert parsed_graph(same) == flow.graph_def


def test_what_is_to_stay_is_no_weight(network: Backbone) -> None:
    flow = Flow(network)
    cut = cuts(flow)[3]
    whole = Tail(flow, chosen([], flow, "all"), trained_above=cut)
    assert list(whole.weights) == list(Tail(flow, cut).weights)
    features = tf.function(whole.features)(PHOTOS)
    np.testing.assert_allclose(features, stages(PHOTOS, WEIGHTS)[-1], atol=1e-6)
