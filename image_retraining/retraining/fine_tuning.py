"""The stage beyond the head: the layers above a cut are trained, if --fine_tune asks for it."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.opening import open_cache
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.evaluation.metrics import Metrics
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Extraction, FeatureSet, Split
from image_retraining.foundation.settings import part_of
from image_retraining.foundation.state_file import LABELS, StateFile
from image_retraining.foundation.text import aligned
from image_retraining.head.checkpoint import photos_digest
from image_retraining.head.class_weights import class_weights
from image_retraining.photos.distortions import Views
from image_retraining.reports.tuning_findings import Tuned
from image_retraining.retraining import evaluating, extracting
from image_retraining.retraining.config import FINE_TUNE_ENDING, RetrainConfig
from image_retraining.retraining.cut_examples import (
    SETS,
    Classifier,
    FineTuningSettings,
    check_validation,
    cut_of,
    examples,
    say_room,
)
from image_retraining.retraining.telling import Stages
from image_retraining.tuning.cuts import AUTO, chosen, cuts
from image_retraining.tuning.fitted import Fitted, arrays_of, rank, state_of
from image_retraining.tuning.fitting import fit
from image_retraining.tuning.flow import Flow
from image_retraining.tuning.tail import Tail
from image_retraining.tuning.trainer import Examples, Fitting, Trainer


def places(backbone: Backbone) -> str:
    """Returns a table of where a network can be cut; the usual place is marked.

    Raises:
        SettingError: there is none.
    """
    flow = Flow(backbone)
    found = cuts(flow)
    usual = chosen(found, flow, AUTO)
    rows = [("Tensor", "shape", "kB a photo", "nodes below", "weights above", "")]
    rows += [
        (
            cut.tensor,
            " x ".join(map(str, cut.shape)),
            f"{cut.bytes_a_photo / 1000:.1f}",
            f"{cut.below:.2f}",
            f"{cut.share_above * 100:.1f}%",
            "auto" if cut == usual else "",
        )
        for cut in found
        if cut.weights_above
    ]
    return "".join(f"{line}\n" for line in aligned(rows, left=(0, 5)))


def better(config: RetrainConfig, alone: Classifier, stages: Stages) -> Classifier:
    """Returns the better of a classifier and what --fine_tune makes of it, which is told."""
    if not config.fine_tune:
        stages.done("tuned", None)
        return alone
    judging = part_of(config, evaluating.JudgingSettings)
    tested = evaluating.judge(alone.head, alone.sets, alone.catalog.labels, judging)
    how = part_of(config, extracting.ExtractionSettings)
    settings = part_of(config, FineTuningSettings)
    with open_cache(config.bottleneck_dir) as cache:
        best, found = tune(alone, tested.metrics, cache, how, settings, stages.tell)
    stages.done("tuned", found)
    stages.change(backbone=best.backbone)
    return best


def tune(
    before: Classifier,
    alone: Metrics | None,
    cache: BottleneckCache,
    how: extracting.ExtractionSettings,
    settings: FineTuningSettings,
    tell: Callable[[Any], Any],
) -> tuple[Classifier, Tuned]:
    """Returns the better of a classifier and what becomes of it by fine-tuning; and how that went.

    Args:
        before: the network as it is, and the head that was found for it.
        alone: how that did on the test photos.
        cache: where activations, and the vectors of the tuned network, are looked up and stored.
        how: how vectors are computed.
        settings: how to fine-tune.
        tell: is told of each epoch.

    Raises:
        PhotoError: there is no validation photo.
        SettingError: the network cannot be cut there, or the activations would take too much.
    """
    check_validation(len(before.sets[Split.VALIDATION]))
    flow, cut = cut_of(before.backbone, settings)
    say_room(cut, {split: len(photos) for split, photos in before.sets.items()}, how, settings)
    both = examples(before, flow, cut, cache, how)
    tail = Tail(flow, cut)
    trainer, fitted = _fitted(before, tail, both, how, settings, tell)
    after = before
    if fitted.kept.number:
        values, head = trainer.of(fitted.best)
        key = b"".join(value.tobytes() for value in values.values())
        name = before.backbone.output_name
        backbone = before.backbone.with_graph(
            tail.graph(values), name, key=key, tuned_above=cut.tensor
        )
        try:
            after = _looked_at(replace(before, backbone=backbone, head=head), cache, how)
        except KeyboardInterrupt:
            notice("So are the epochs of the fine-tuning, from which --resume goes on.")
            raise
    is_better = _rank(after).is_better_than(_rank(before))
    told = Tuned(
        tensor=cut.tensor,
        share_above=cut.share_above,
        epochs=fitted.epochs,
        kept=fitted.kept,
        is_better=is_better,
        validation_count=len(before.sets[Split.VALIDATION]),
        alone=alone,
    )
    return (after if is_better else before), told


def _fitted(
    before: Classifier,
    tail: Tail,
    both: tuple[Examples, Examples],
    how: extracting.ExtractionSettings,
    settings: FineTuningSettings,
    tell: Callable[[Any], Any],
) -> tuple[Trainer, Fitted]:
    """Returns what trained the weights, and where that ended."""
    photos = before.sets[Split.TRAINING]
    weights = class_weights(settings.class_weight, before.catalog.labels, photos.label_ids)
    trainer = Trainer(tail, before.head, _fitting(settings), weights)
    kept_in = StateFile[Fitted](
        f"{settings.checkpoint_path}{FINE_TUNE_ENDING}",
        _inputs(before, tail, how.views, settings, weights.tolist()),
        arrays_of=arrays_of,
        state_of=state_of,
        done=lambda state: f"Epochs 0 to {state.epochs[-1].number} of the fine-tuning",
    )
    return trainer, fit(trainer, *both, kept_in, goes_on=settings.resume, tell=tell)


def _rank(classifier: Classifier) -> Any:
    photos = classifier.sets[Split.VALIDATION]
    return rank(classifier.head.logits(photos.features), photos.label_ids)


def _fitting(settings: FineTuningSettings) -> Fitting:
    return Fitting(
        epochs=settings.fine_tune_epochs,
        learning_rate=settings.fine_tune_learning_rate,
        weight_decay=settings.fine_tune_weight_decay,
        batch_size=settings.fine_tune_batch_size,
        label_smoothing=settings.label_smoothing,
        patience=settings.fine_tune_patience,
        seed=settings.seed,
    )


def _looked_at(
    tuned: Classifier, cache: BottleneckCache, how: extracting.ExtractionSettings
) -> Classifier:
    """Returns a classifier with the vectors that its network gives: as its graph will answer."""
    plain = replace(how, views=replace(how.views, count=0), bottleneck_precision="float32")
    found = extracting.extract(tuned.catalog, tuned.backbone, cache, plain)
    return replace(tuned, sets=_as_before(found, tuned.sets))


def _as_before(found: Extraction, sets: Mapping[Split, FeatureSet]) -> dict[Split, FeatureSet]:
    """Returns vectors of the photos that are in the sets, in their order."""
    kept = {}
    for split, photos in found.sets.items():
        places = {path: place for place, path in enumerate(photos.paths)}
        kept[split] = photos.rows([places[path] for path in sets[split].paths])
    return kept


def _inputs(
    before: Classifier,
    tail: Tail,
    views: Views,
    settings: FineTuningSettings,
    weights: list[float],
) -> dict[str, Any]:
    """Returns what a fine-tuning must have in common with the one that it goes on from."""
    names = ("epochs", "learning_rate", "weight_decay", "batch_size")
    labels, head = before.catalog.labels, before.head
    photos = [before.sets[split] for split in SETS]
    return {
        LABELS: list(labels),
        "photos and labels": photos_digest(labels, *photos),
        "the head": sum(float(np.float64(one).sum()) for one in head.values().values()),
        "--fine_tune": tail.cut.tensor,
        **{f"--fine_tune_{name}": getattr(settings, f"fine_tune_{name}") for name in names},
        "--label_smoothing": settings.label_smoothing,
        "--class_weight": weights,
        "--seed": settings.seed,
        "distortions": str(views),
    }
