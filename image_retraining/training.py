"""Feature vectors → Head: the softmax layer, trained by gradient descent.

The layer, its start values, the draws of photos and the order of training and evaluating are those
of TensorFlow Hub's image_retraining example. What is new is that the steps between two evaluations
run inside one TensorFlow function.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from image_retraining.evaluation import evaluate
from image_retraining.records import (
    BATCH_FIGURES,
    HEAD_FIGURES,
    Evaluation,
    FeatureSet,
    Head,
    TrainingReport,
)
from image_retraining.sampling import Indices, Sampler

_TRAINING_DRAWS, _VALIDATION_DRAWS = 0, 1
_INITIAL_STDDEV = 0.001
# Bounds the memory of a report, and how long Ctrl-C takes, when evaluations are far apart.
_STEPS_AT_ONCE = 200
_SCALARS = (*BATCH_FIGURES, *HEAD_FIGURES)


@dataclass(frozen=True, kw_only=True)
class TrainingSettings:
    """How to train.

    Attributes:
        steps: how many steps.
        learning_rate: of gradient descent.
        validation_batch_size: photos an evaluation, -1 for all.
        eval_step_interval: steps from one evaluation to the next.
        report_step_interval: a report ends at each multiple of this as well; 0 for none.
        seed: of all draws.
    """

    steps: int
    learning_rate: float
    validation_batch_size: int
    eval_step_interval: int
    report_step_interval: int
    seed: int


@dataclass(frozen=True)
class StepBatches:
    """What some steps learn from.

    Attributes:
        features: float32 tensor [M, D].
        label_ids: int32 tensor [M].
        indices: int64 [steps, B], rows of the two for each step.
    """

    features: Any
    label_ids: Any
    indices: Indices


class BatchSource(Protocol):
    """Where the batches of the training steps come from."""

    def batches(self, steps: range) -> StepBatches:
        """Returns the batches of some steps; equal steps get equal batches."""


class StoredVectors:
    """Batches drawn from feature vectors in memory."""

    def __init__(self, training: FeatureSet, *, batch_size: int, seed: int) -> None:
        """Takes N feature vectors, N at least 1."""
        self._features = tf.constant(training.features)
        self._label_ids = tf.constant(training.label_ids)
        self._sampler = training_sampler(training, seed=seed)
        self._batch_size = batch_size

    def batches(self, steps: range) -> StepBatches:
        """Returns the batches of some steps."""
        draws = [self._sampler.draw(step, self._batch_size) for step in steps]
        return StepBatches(self._features, self._label_ids, np.stack(draws))


def training_sampler(training: FeatureSet, *, seed: int) -> Sampler:
    """Returns the sampler whose draw of number i is the batch of step i."""
    return Sampler(training.label_ids, seed=seed, purpose=_TRAINING_DRAWS)


def initial_head(feature_size: int, label_count: int, *, seed: int) -> Head:
    """Returns the head that training starts from: small random weights [D, C], bias [C] of 0."""
    weights = tf.random.stateless_truncated_normal(
        [feature_size, label_count], seed=[seed, 0], stddev=_INITIAL_STDDEV
    )
    return Head(weights.numpy(), np.zeros([label_count], np.float32))


def train(
    source: BatchSource,
    validation: FeatureSet,
    settings: TrainingSettings,
    *,
    head: Head,
    first_step: int = 0,
) -> Iterator[TrainingReport]:
    """Yields a report after each evaluation, the last one with the trained head.

    Args:
        source: gives the batches to learn from.
        validation: photos to evaluate on; may be none.
        settings: how to train.
        head: to start from.
        first_step: number of the first step to take.
    """
    weights, bias = tf.constant(head.weights), tf.constant(head.bias)
    evaluator = _ValidationEvaluator(validation, settings)
    for steps in _stretches(first_step, settings):
        drawn = source.batches(steps)
        weights, bias, scalars = _descend(
            weights, bias, drawn.features, drawn.label_ids, drawn.indices, settings.learning_rate
        )
        head = Head(weights.numpy(), bias.numpy())
        is_evaluation = _is_evaluation_step(steps[-1], settings)
        yield TrainingReport(
            steps=steps,
            scalars=dict(zip(_SCALARS, scalars.numpy().T, strict=True)),
            head=head,
            train=_evaluate_last(head, drawn) if is_evaluation else None,
            validation=evaluator.evaluate(head, steps[-1]) if is_evaluation else None,
        )


class _ValidationEvaluator:
    def __init__(self, validation: FeatureSet, settings: TrainingSettings) -> None:
        self._validation = validation
        self._batch_size = settings.validation_batch_size
        if len(validation):
            self._sampler = Sampler(
                validation.label_ids, seed=settings.seed, purpose=_VALIDATION_DRAWS
            )

    def evaluate(self, head: Head, step: int) -> Evaluation | None:
        """Returns the evaluation on a draw of validation photos, or on all; None without any."""
        if not len(self._validation):
            return None
        features, label_ids = self._validation.features, self._validation.label_ids
        if self._batch_size != -1:
            chosen = self._sampler.draw(step, self._batch_size)
            features, label_ids = features[chosen], label_ids[chosen]
        return evaluate(head, features, label_ids)


def _evaluate_last(head: Head, drawn: StepBatches) -> Evaluation:
    """Returns the evaluation on the batch that the last step learnt from."""
    chosen = drawn.indices[-1]
    features = tf.gather(drawn.features, chosen).numpy()
    return evaluate(head, features, tf.gather(drawn.label_ids, chosen).numpy())


def _is_evaluation_step(step: int, settings: TrainingSettings) -> bool:
    return step % settings.eval_step_interval == 0 or step == settings.steps - 1


def _stretches(first_step: int, settings: TrainingSettings) -> Iterator[range]:
    """Yields the steps in stretches, each ending where something is to be reported."""
    start = first_step
    for step in range(first_step, settings.steps):
        ends = (
            _is_evaluation_step(step, settings)
            or (settings.report_step_interval and step % settings.report_step_interval == 0)
            or step - start + 1 == _STEPS_AT_ONCE
        )
        if ends:
            yield range(start, step + 1)
            start = step + 1


@tf.function(
    input_signature=[
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None], tf.float32),
        tf.TensorSpec([None, None], tf.float32),
        tf.TensorSpec([None], tf.int32),
        tf.TensorSpec([None, None], tf.int64),
        tf.TensorSpec([], tf.float32),
    ],
    autograph=False,
)
def _descend(
    weights: Any, bias: Any, features: Any, label_ids: Any, indices: Any, learning_rate: Any
) -> Any:
    """Returns weights and bias after a step for each row of indices, and the steps' figures."""
    steps = tf.shape(indices)[0]
    figures = tf.TensorArray(tf.float32, size=steps, element_shape=[len(_SCALARS)])

    def take_step(step: Any, weights: Any, bias: Any, figures: Any) -> Any:
        batch = tf.gather(features, indices[step])
        labels = tf.gather(label_ids, indices[step])
        with tf.GradientTape() as tape:
            tape.watch([weights, bias])
            logits = tf.matmul(batch, weights) + bias
            losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
            loss = tf.reduce_mean(losses)
        weights_gradient, bias_gradient = tape.gradient(loss, [weights, bias])
        right = tf.equal(tf.argmax(logits, axis=1, output_type=tf.int32), labels)
        accuracy = tf.reduce_mean(tf.cast(right, tf.float32))
        row = tf.stack([accuracy, loss, *_spread(weights), *_spread(bias)])
        return (
            step + 1,
            weights - learning_rate * weights_gradient,
            bias - learning_rate * bias_gradient,
            figures.write(step, row),
        )

    _, weights, bias, figures = tf.while_loop(
        lambda step, *_: step < steps, take_step, (0, weights, bias, figures)
    )
    return weights, bias, figures.stack()


def _spread(values: Any) -> tuple[Any, ...]:
    return (
        tf.reduce_mean(values),
        tf.math.reduce_std(values),
        tf.reduce_max(values),
        tf.reduce_min(values),
    )
