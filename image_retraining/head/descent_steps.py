"""Steps of gradient descent or Adam on a head, many inside one TensorFlow function."""

import functools
from typing import Any

import tensorflow as tf

from image_retraining.foundation.records import BATCH_FIGURES, HEAD_FIGURES
from image_retraining.head.layers import HeadLayers, after_batch

# What is told of each step.
FIGURES = (*BATCH_FIGURES, *HEAD_FIGURES)

_BATCHES = (
    tf.TensorSpec([None, None], tf.float32),
    tf.TensorSpec([None, None], tf.int32),
    tf.TensorSpec([None, None], tf.int32),
    tf.TensorSpec([None, 2], tf.int64),
)
# Adam's constants, as its authors recommend them.
_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


@functools.cache
def step_taker(layers: HeadLayers, *, adam: bool, l2: float, label_smoothing: float) -> Any:
    """Returns the function that takes a step for each batch.

    It takes the batches of n vectors: these, float32 [n, D], which of them each step learns from
    and their labels, int32 [steps, B], and seeds, int64 [steps, 2]. It takes and gives the values
    that are trained by name, with Adam the means of their gradients and of the squares of these,
    and the running mean and variance of the layers; and last it gives the steps' figures, float32
    [steps, figures].
    """

    @tf.function(
        input_signature=[
            _state_spec(layers, adam=adam),
            _BATCHES,
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([], tf.float32),
        ],
        autograph=False,
    )
    def take_steps(state: Any, batches: Any, first_step: Any, learning_rate: Any) -> Any:
        vectors, rows, label_ids, seeds = batches
        steps = tf.shape(rows)[0]
        figures = tf.TensorArray(tf.float32, size=steps, element_shape=[len(FIGURES)])

        def take_step(step: Any, state: Any, figures: Any) -> Any:
            values, moments, running = state
            losing = functools.partial(_gradients, l2=l2, label_smoothing=label_smoothing)
            batch = tf.gather(vectors, rows[step]), label_ids[step], seeds[step]
            gradients, found, row = losing(layers, values, batch)
            number = first_step + tf.cast(step, tf.float32)
            if adam:
                moving = _adam_step(values, moments, gradients, number + 1, learning_rate)
                values, moments = moving
            else:
                values = _each(
                    lambda value, slope: value - learning_rate * slope, values, gradients
                )
            state = values, moments, after_batch(running, found, number)
            return step + 1, state, figures.write(step, row)

        _, state, figures = tf.while_loop(
            lambda step, *_: step < steps, take_step, (0, state, figures)
        )
        return state, figures.stack()

    return take_steps


def _state_spec(layers: HeadLayers, *, adam: bool) -> Any:
    """Returns the types of what a step changes."""
    names = layers.initial(1, 1, seed=0)
    values = {name: tf.TensorSpec([None] * value.ndim, tf.float32) for name, value in names.items()}
    running = {name: tf.TensorSpec([None], tf.float32) for name in layers.initial_running(1)}
    return values, (values, values) if adam else (), running


def _each(change: Any, *of_names: Any) -> dict[str, Any]:
    """Returns what becomes of the values of each name."""
    return {name: change(*(one[name] for one in of_names)) for name in of_names[0]}


def _gradients(
    layers: HeadLayers, values: Any, batch: Any, *, l2: float, label_smoothing: float
) -> tuple[Any, Any, Any]:
    """Returns the gradients of the loss, mean and variance of the batch, and the step's figures."""
    features, label_ids, seed = batch
    with tf.GradientTape() as tape:
        tape.watch(values)
        logits, found = layers.logits(values, features, seed)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(label_ids, logits)
        cross_entropy = tf.reduce_mean(losses)
        loss = cross_entropy
        if label_smoothing:
            # The mean of the cross entropies that each label would have.
            to_all = tf.reduce_mean(
                tf.reduce_logsumexp(logits, axis=1) - tf.reduce_mean(logits, axis=1)
            )
            loss = (1 - label_smoothing) * cross_entropy + label_smoothing * to_all
        if l2:
            kernels = [value for name, value in values.items() if name.endswith("weights")]
            loss += l2 / 2 * tf.add_n([tf.reduce_sum(tf.square(one)) for one in kernels])
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), label_ids)
    accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
    row = [accuracy, cross_entropy, *_spread(values["weights"]), *_spread(values["bias"])]
    return tape.gradient(loss, values), found, tf.stack(row)


def _adam_step(values: Any, moments: Any, gradients: Any, number: Any, learning_rate: Any) -> Any:
    """Returns values and moments after step `number`, from 1.

    Kingma and Ba, "Adam", 2015, algorithm 1.
    """
    means, squares = moments
    means = _each(
        lambda mean, slope: _MEAN_DECAY * mean + (1 - _MEAN_DECAY) * slope, means, gradients
    )
    squares = _each(
        lambda square, slope: _SQUARE_DECAY * square + (1 - _SQUARE_DECAY) * tf.square(slope),
        squares,
        gradients,
    )
    # What is missing of the means because they began at 0.
    of_means, of_squares = 1 - _MEAN_DECAY**number, 1 - _SQUARE_DECAY**number

    def moved(value: Any, mean: Any, square: Any) -> Any:
        return value - learning_rate * (mean / of_means) / (tf.sqrt(square / of_squares) + _EPSILON)

    return _each(moved, values, means, squares), (means, squares)


def _spread(values: Any) -> tuple[Any, ...]:
    return (
        tf.reduce_mean(values),
        tf.math.reduce_std(values),
        tf.reduce_max(values),
        tf.reduce_min(values),
    )
