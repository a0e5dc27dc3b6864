"""Activations → trained weights above a cut, and the head with them, epoch by epoch."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from absl import logging

from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.progress import Progress
from image_retraining.foundation.state_file import StateFile
from image_retraining.tuning.fitted import Epoch, Fitted, rank
from image_retraining.tuning.trainer import Examples, Trainer


def fit(
    trainer: Trainer,
    training: Examples,
    validation: Examples,
    kept_in: StateFile[Fitted],
    *,
    goes_on: bool,
    tell: Callable[[Epoch], Any],
) -> Fitted:
    """Returns how it ended.

    Args:
        trainer: has the weights, and how to train them.
        training: what is learnt from.
        validation: what decides which epoch is kept; at least one photo.
        kept_in: where the state is kept for a --resume.
        goes_on: go on from what is there.
        tell: is told of each epoch, those of before too.

    Raises:
        CheckpointError: what is to be gone on from was another training.
    """
    settings = trainer.settings
    before = kept_in.load() if goes_on else None
    if before is not None and before.epochs[-1].number:
        notice("Going on after epoch %d of %s", before.epochs[-1].number, kept_in.path)
    if before is None:
        rank_alone = rank(trainer.logits(validation), validation.label_ids)
        state = trainer.state((Epoch(0, math.nan, rank_alone),), trainer.numbers())
    else:
        state = before
        trainer.set_state(state)
    for epoch in state.epochs:
        tell(epoch)
    left = range(state.epochs[-1].number + 1, settings.epochs + 1)
    with kept_in, Progress("Fine-tuning", len(left) * len(training.label_ids)) as progress:
        for number in left:
            if 0 < settings.patience <= state.waited:
                break
            loss = trainer.train(training, number, progress)
            logits = trainer.logits(validation)
            if not np.isfinite(logits).all():
                logging.warning(
                    "WARNING: the fine-tuning ends in epoch %d, whose weights give no numbers any "
                    "more: --fine_tune_learning_rate=%g is too high.",
                    number,
                    settings.learning_rate,
                )
                break
            found = Epoch(number, loss, rank(logits, validation.label_ids))
            is_best = found.rank.is_better_than(state.kept.rank)
            best = trainer.numbers() if is_best else state.best
            state = trainer.state((*state.epochs, found), best)
            progress.note(f"best {state.kept.rank.accuracy * 100:.1f}% at {state.kept.number}")
            tell(found)
            kept_in.update(state)
    return state
