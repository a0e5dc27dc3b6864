"""Feature vectors → Head: its layers, trained step by step.

The softmax layer, its start values, the draws of photos and the order of training and evaluating
are those of TensorFlow Hub's image_retraining example. What is new is that the steps between two
evaluations run inside one TensorFlow function, that there is Adam besides gradient descent, and
that the head may have more layers.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.parallel import overlapped
from image_retraining.foundation.records import (
    Evaluation,
    FeatureSet,
    Floats,
    Head,
    TrainingReport,
)
from image_retraining.head.batches import StepBatches, TrainingBatches
from image_retraining.head.descent_steps import FIGURES, step_taker
from image_retraining.head.layers import HeadLayers, TrainingState
from image_retraining.head.sampling import Purpose, Sampler, at_most, random_of
from image_retraining.head.softmax import evaluate

# Bounds the memory of a report, and how long Ctrl-C takes, when evaluations are far apart.
_STEPS_AT_ONCE = 200
# Of more validation photos than this, an evaluation would take longer than the steps before it.
_MOST_JUDGING = 10_000


@dataclass(frozen=True, kw_only=True)
class DescentSettings:
    """How to train.

    Attributes:
        steps: how many steps.
        learning_rate: size of a step.
        optimizer: "gradient_descent" or "adam".
        l2: times half the sum of the squared weights, is added to the loss; at least 0.
        label_smoothing: share of the truth that goes evenly to all labels, 0 to below 1.
        validation_batch_size: photos an evaluation that is reported; -1 for all, as where there
            are no more.
        eval_step_interval: steps from one evaluation to the next.
        report_step_interval: a report ends at each multiple of this as well; 0 for none.
        seed: of all draws.
        layers: of the head.
    """

    steps: int
    learning_rate: float
    optimizer: str = "gradient_descent"
    l2: float = 0.0
    label_smoothing: float = 0.0
    validation_batch_size: int
    eval_step_interval: int
    report_step_interval: int
    seed: int
    layers: HeadLayers = field(default_factory=HeadLayers)


def initial_state(
    layers: HeadLayers, feature_size: int, label_count: int, *, seed: int
) -> TrainingState:
    """Returns the state that training starts from, of D features and C labels."""
    values = layers.initial(feature_size, label_count, seed=seed)
    return TrainingState(values, running=layers.initial_running(feature_size))


def train(
    batches: TrainingBatches,
    validation: FeatureSet,
    settings: DescentSettings,
    *,
    start: TrainingState,
    validation_weights: Floats | None = None,
) -> Iterator[tuple[TrainingReport, TrainingState]]:
    """Yields what happened, stretch after stretch of steps, and where the training stands then.

    Args:
        batches: what the steps learn from.
        validation: the photos to evaluate on, possibly none.
        settings: how to train.
        start: where to go on.
        validation_weights: float32 [C], how much a validation photo of each class counts in the
            weighted cross entropy; None for all alike.
    """
    take_steps = step_taker(
        settings.layers,
        adam=settings.optimizer == "adam",
        l2=settings.l2,
        label_smoothing=settings.label_smoothing,
    )
    state = replace(start, moments=_moments(start, settings))
    evaluator = _ValidationEvaluator(validation, settings, validation_weights)

    def take(steps: range) -> tuple[TrainingState, StepBatches, Floats]:
        nonlocal state
        drawn = batches.of(steps)
        state, scalars = _after(state, take_steps, drawn, settings)
        return state, drawn, scalars

    # One thread, in which a stretch begins where the one before it has ended: TensorFlow computes
    # it while that one is evaluated and told.
    stretches = overlapped(take, _stretches(start.step, settings), streams=1)
    for steps, (after, drawn, scalars) in stretches:
        raise_if_interrupted()
        head = settings.layers.head(after.values, after.running)
        is_evaluation = _is_evaluation_step(steps[-1], settings)
        reported, whole = evaluator.evaluate(head, steps[-1]) if is_evaluation else (None, None)
        report = TrainingReport(
            steps=steps,
            scalars=dict(zip(FIGURES, scalars.T, strict=True)),
            head=head,
            train=_evaluate_last(head, drawn) if is_evaluation else None,
            validation=reported,
            whole_validation=whole,
        )
        yield report, after


def _moments(start: TrainingState, settings: DescentSettings) -> Any:
    """Returns the moments to start from; None where the optimizer has none."""
    if settings.optimizer != "adam":
        return None
    zero = {name: np.zeros_like(values) for name, values in start.values.items()}
    return start.moments or (zero, zero)


def _after(
    state: TrainingState, take_steps: Any, drawn: StepBatches, settings: DescentSettings
) -> tuple[TrainingState, Floats]:
    """Returns the state after some steps, and their figures, float32 [steps, figures]."""
    tensors = tf.nest.map_structure(
        tf.constant, (dict(state.values), state.moments or (), dict(state.running))
    )
    steps = range(state.step, state.step + len(drawn.rows))
    seeds = np.zeros([len(steps), 2], np.int64)
    if settings.layers.dropout:
        for place, step in enumerate(steps):
            random = random_of(settings.seed, Purpose.DROPOUT, step)
            seeds[place] = random.integers(2**63, size=2)
    batches = drawn.tensor, drawn.rows, drawn.label_ids, seeds
    found = take_steps(tensors, batches, float(state.step), settings.learning_rate)
    (values, moments, running), scalars = tf.nest.map_structure(lambda one: one.numpy(), found)
    return TrainingState(values, steps.stop, moments or None, running), scalars


def judging_sample(validation: FeatureSet, *, seed: int) -> FeatureSet:
    """Returns the validation photos that say which head is the best: 10,000 at most."""
    return at_most(validation, _MOST_JUDGING, seed=seed, purpose=Purpose.VALIDATION)


class _ValidationEvaluator:
    def __init__(
        self, validation: FeatureSet, settings: DescentSettings, weights: Floats | None
    ) -> None:
        self._validation, self._weights = validation, weights
        self._batch_size = settings.validation_batch_size
        # So many draws of fewer photos would tell no more of them, and some of them several times.
        self._takes_all = self._batch_size == -1 or self._batch_size >= len(validation)
        if len(validation):
            self._sampler = Sampler(
                validation.label_ids, seed=settings.seed, purpose=Purpose.VALIDATION
            )

    def evaluate(self, head: Head, step: int) -> tuple[Evaluation | None, Evaluation | None]:
        """Returns the evaluations on a draw of validation photos, and on all; None without any."""
        if not len(self._validation):
            return None, None
        features, label_ids = self._validation.features, self._validation.label_ids
        whole = evaluate(head, features, label_ids, self._weights)
        if self._takes_all:
            return whole, whole
        chosen = self._sampler.draw(step, self._batch_size)
        return evaluate(head, features[chosen], label_ids[chosen]), whole


def _evaluate_last(head: Head, drawn: StepBatches) -> Evaluation:
    """Returns the evaluation on the batch that the last step learnt from."""
    return evaluate(head, drawn.vectors[drawn.rows[-1]], drawn.label_ids[-1])


def _is_evaluation_step(step: int, settings: DescentSettings) -> bool:
    return step % settings.eval_step_interval == 0 or step == settings.steps - 1


def _stretches(first_step: int, settings: DescentSettings) -> Iterator[range]:
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
