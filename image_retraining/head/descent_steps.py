"""Steps of gradient descent or Adam on the softmax layer, many inside one TensorFlow function."""

import functools
from typing import Any

import tensorflow as tf

from image_retraining.foundation.records import BATCH_FIGURES, HEAD_FIGURES

# What is told of each step.
FIGURES = (*BATCH_FIGURES, *HEAD_FIGURES)

# Adam's constants, as its authors recommend them.
_MEAN_DECAY, _SQUARE_DECAY, _EPSILON = 0.9, 0.999, 1e-8


@functools.cache
def step_taker(*, adam: bool, l2: float, label_smoothing: float) -> Any:
    """Returns the function that takes a step for each batch.

    It gives the slots after them, which are weights and bias and, with Adam, the means of their
    gradients and of their squares, and last the steps' figures, float32 [steps, figures].
    """
    head_spec = [tf.TensorSpec([None, None], tf.float32), tf.TensorSpec([None], tf.float32)]

    @tf.function(
        input_signature=[
            head_spec * (3 if adam else 1),
            tf.TensorSpec([None, None, None], tf.float32),
            tf.TensorSpec([None, None], tf.int32),
            tf.TensorSpec([], tf.float32),
            tf.TensorSpec([], tf.float32),
        ],
        autograph=False,
    )
    def take_steps(
        slots: list[Any], features: Any, label_ids: Any, first_step: Any, learning_rate: Any
    ) -> Any:
        steps = tf.shape(features)[0]
        figures = tf.TensorArray(tf.float32, size=steps, element_shape=[len(FIGURES)])

        def take_step(step: Any, slots: list[Any], figures: Any) -> Any:
            weights, bias, *_ = slots
            losing = functools.partial(_gradients, l2=l2, label_smoothing=label_smoothing)
            gradients, row = losing(weights, bias, features[step], label_ids[step])
            if adam:
                number = first_step + tf.cast(step, tf.float32) + 1
                slots = _adam_step(slots, gradients, number, learning_rate)
            else:
                pairs = zip(slots, gradients, strict=True)
                slots = [values - learning_rate * gradient for values, gradient in pairs]
            return step + 1, slots, figures.write(step, row)

        _, slots, figures = tf.while_loop(
            lambda step, *_: step < steps, take_step, (0, slots, figures)
        )
        return *slots, figures.stack()

    return take_steps


def _gradients(
    weights: Any, bias: Any, batch: Any, label_ids: Any, *, l2: float, label_smoothing: float
) -> tuple[list[Any], Any]:
    """Returns the gradients of the loss, and the step's figures before it is taken."""
    with tf.GradientTape() as tape:
        tape.watch([weights, bias])
        logits = tf.matmul(batch, weights) + bias
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
            loss += l2 / 2 * tf.reduce_sum(tf.square(weights))
    right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), label_ids)
    accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
    row = tf.stack([accuracy, cross_entropy, *_spread(weights), *_spread(bias)])
    return tape.gradient(loss, [weights, bias]), row


def _adam_step(slots: list[Any], gradients: list[Any], number: Any, learning_rate: Any) -> Any:
    """Returns the slots after step `number`, from 1: Kingma and Ba, "Adam", 2015, algorithm 1."""
    count = len(gradients)
    values, means, squares = slots[:count], slots[count : 2 * count], slots[2 * count :]
    means = [
        _MEAN_DECAY * mean + (1 - _MEAN_DECAY) * gradient
        for mean, gradient in zip(means, gradients, strict=True)
    ]
    squares = [
        _SQUARE_DECAY * square + (1 - _SQUARE_DECAY) * tf.square(gradient)
        for square, gradient in zip(squares, gradients, strict=True)
    ]
    # What is missing of the means because they began at 0.
    of_means, of_squares = 1 - _MEAN_DECAY**number, 1 - _SQUARE_DECAY**number
    values = [
        value - learning_rate * (mean / of_means) / (tf.sqrt(square / of_squares) + _EPSILON)
        for value, mean, square in zip(values, means, squares, strict=True)
    ]
    return [*values, *means, *squares]


def _spread(values: Any) -> tuple[Any, ...]:
    return (
        tf.reduce_mean(values),
        tf.math.reduce_std(values),
        tf.reduce_max(values),
        tf.reduce_min(values),
    )
