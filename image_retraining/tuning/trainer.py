"""The weights above a cut, the head, and the steps of their training.

Adam (Kingma and Ba, 2015) with a cosine decay (Loshchilov and Hutter, 2017) after a warm-up; each
weight is drawn back to where it started (L2-SP: Li et al., 2018), decoupled from the gradients
(AdamW: Loshchilov and Hutter, 2019).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.records import Floats, Head, Ints
from image_retraining.head.layers import logits_of
from image_retraining.tuning.fitted import Epoch, Fitted
from image_retraining.tuning.tail import Tail

# Of all steps.
_WARM_UP = 0.1
# Of Adam.
_BETAS, _EPSILON = (0.9, 0.999), 1e-7


class Examples(Protocol):
    """What is learnt from, or judged by: what is at the cut, of N photos.

    Attributes:
        label_ids: int32 [N].
        view_count: K, how many views each has besides itself.
    """

    @property
    def label_ids(self) -> Ints:
        """As above."""

    @property
    def view_count(self) -> int:
        """As above."""

    def rows(self, rows: Ints, view_numbers: Ints) -> Floats:
        """Returns float32 [n, *shape] of some photos, a view of each."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fitting:
    """How to train.

    Attributes:
        epochs: how often each photo is learnt from, at most.
        learning_rate: the highest.
        weight_decay: how much of its way from the start a weight loses in an epoch, by the sum of
            its steps' rates.
        batch_size: photos a step.
        label_smoothing: share of a photo's label that is spread over all, 0 to below 1.
        patience: epochs without improvement after which it ends.
        seed: of the order of the photos and of their views.
    """

    epochs: int
    learning_rate: float
    weight_decay: float
    batch_size: int
    label_smoothing: float
    patience: int
    seed: int


class Trainer:
    """The weights above a cut and the head, and a step of their training.

    Attributes:
        settings: how to train.
    """

    def __init__(self, tail: Tail, head: Head, settings: Fitting, class_weights: Floats) -> None:
        """Begins where the network and the head are.

        Args:
            tail: what lies above the cut.
            head: the head that was found on what that gives.
            settings: how to train.
            class_weights: float32 [C], how much a photo of each class counts.
        """
        self.settings = settings
        self._tail = tail
        self._names = list(tail.weights)
        of_head = head.values()
        self._of_head = list(of_head)
        self._variables = [*tail.weights.values(), *map(tf.Variable, of_head.values())]
        self._starts = [tf.constant(one.numpy()) for one in self._variables]
        self._moments = [
            [tf.Variable(tf.zeros_like(one), trainable=False) for one in self._variables]
            for _ in _BETAS
        ]
        self._class_weights = tf.constant(class_weights)
        shape = tail.cut.shape
        pictures = tf.TensorSpec([None, *shape], tf.float32)
        self._answer = tf.function(self._logits, input_signature=[pictures])
        self._draw_back = tf.function(self._drawn_back)
        self._take_step = tf.function(
            self._step,
            input_signature=[
                pictures,
                tf.TensorSpec([None], tf.int32),
                *[tf.TensorSpec([], tf.float32)] * 3,
            ],
        )

    def logits(self, photos: Examples) -> Floats:
        """Returns float32 [N, C], what is answered to the photos themselves."""
        size, count = self.settings.batch_size, len(photos.label_ids)
        found = []
        for start in range(0, count, size):
            raise_if_interrupted()
            rows = np.arange(start, min(start + size, count), dtype=np.int32)
            found.append(self._answer(photos.rows(rows, np.zeros_like(rows))).numpy())
        return np.concatenate(found)

    def train(self, photos: Examples, epoch: int, progress: Progress) -> float:
        """Returns the mean loss of an epoch, in nats, after learning from each photo once."""
        settings, count = self.settings, len(photos.label_ids)
        order, views = drawn(count, photos.view_count, epoch=epoch, seed=settings.seed)
        steps = math.ceil(count / settings.batch_size)
        rates = [
            settings.learning_rate * rate((epoch - 1) * steps + number, settings.epochs * steps)
            for number in range(steps)
        ]
        if settings.weight_decay:
            # In one go: at each step it would be one more way through all weights.
            self._draw_back(tf.constant(sum(rates) * settings.weight_decay, tf.float32))
        losses = []
        for number in range(steps):
            raise_if_interrupted()
            chosen = slice(number * settings.batch_size, (number + 1) * settings.batch_size)
            rows = order[chosen]
            step = (epoch - 1) * steps + number
            loss = self._take_step(
                photos.rows(rows, views[chosen]),
                photos.label_ids[rows],
                rates[number],
                *(beta ** (step + 1) for beta in _BETAS),
            )
            losses.append(float(loss) * len(rows))
            progress.advance(len(rows))
        return math.fsum(losses) / count

    def numbers(self) -> tuple[Floats, ...]:
        """Returns the weights as they are now, those of the head last."""
        return tuple(one.numpy() for one in self._variables)

    def state(self, epochs: tuple[Epoch, ...], best: tuple[Floats, ...]) -> Fitted:
        """Returns where the training stands."""
        moments = tuple(one.numpy() for kind in self._moments for one in kind)
        return Fitted(epochs, self.numbers(), moments, best)

    def set_state(self, state: Fitted) -> None:
        """Goes on from another state."""
        variables = [*self._variables, *(one for kind in self._moments for one in kind)]
        for variable, value in zip(variables, (*state.numbers, *state.moments), strict=True):
            variable.assign(value)

    def of(self, numbers: Sequence[Floats]) -> tuple[dict[str, Floats], Head]:
        """Returns constant of the graph → its weights, and the head, of what `numbers` gave."""
        weights, of_head = self._named(numbers)
        return weights, Head(**of_head)

    def _logits(self, activations: Any) -> Any:
        return self._forward(activations, [one.read_value() for one in self._variables])

    def _forward(self, activations: Any, read: Sequence[Any]) -> Any:
        weights, of_head = self._named(read)
        return logits_of(of_head, self._tail.features(activations, weights))

    def _named(self, numbers: Sequence[Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Returns the weights above the cut, and the values of the head, by their names."""
        count = len(self._names)
        return (
            dict(zip(self._names, numbers[:count], strict=True)),
            dict(zip(self._of_head, numbers[count:], strict=True)),
        )

    def _drawn_back(self, share: Any) -> None:
        for variable, start in zip(self._variables, self._starts, strict=True):
            variable.assign_sub(share * (variable - start))

    def _step(self, activations: Any, label_ids: Any, rate: Any, *powers: Any) -> Any:
        read = [one.read_value() for one in self._variables]
        logits = self._forward(activations, read)
        classes, smoothing = self._class_weights.shape[0], self.settings.label_smoothing
        wanted = tf.one_hot(label_ids, classes) * (1 - smoothing) + smoothing / classes
        losses = tf.nn.softmax_cross_entropy_with_logits(wanted, logits)
        loss = tf.reduce_mean(losses * tf.gather(self._class_weights, label_ids))
        # Tapes do not see what is imported.
        gradients = tf.gradients(loss, read)
        for place, (variable, gradient) in enumerate(zip(self._variables, gradients, strict=True)):
            mean, square = (kind[place] for kind in self._moments)
            tf.raw_ops.ResourceApplyAdam(
                var=variable.handle,
                m=mean.handle,
                v=square.handle,
                beta1_power=powers[0],
                beta2_power=powers[1],
                lr=rate,
                beta1=_BETAS[0],
                beta2=_BETAS[1],
                epsilon=_EPSILON,
                grad=gradient,
            )
        return loss


def rate(step: int, count: int) -> float:
    """Returns the share of the learning rate at a step of so many, from 0: warm-up, then cosine."""
    warm_up = max(1, round(_WARM_UP * count))
    if step < warm_up:
        return (step + 1) / warm_up
    return 0.5 * (1 + math.cos(math.pi * (step - warm_up) / max(1, count - warm_up)))


def drawn(count: int, view_count: int, *, epoch: int, seed: int) -> tuple[Ints, Ints]:
    """Returns the order of the photos in an epoch, and which view of each is taken.

    Args:
        count: of the photos.
        view_count: K; each of the K views and the photo itself is as likely.
        epoch: its number; equal ones are equal.
        seed: likewise.
    """
    draws = np.random.default_rng([seed, epoch])
    order = draws.permutation(count).astype(np.int32)
    return order, draws.integers(0, view_count + 1, count, dtype=np.int32)
