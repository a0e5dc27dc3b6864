"""The story of a training, a line a stage: each returns what it found, and reporters tell it."""

import contextlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from absl import logging

from image_retraining.backbone.handles import check_handle
from image_retraining.cache.opening import open_cache
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.evaluation.comparison import Comparison
from image_retraining.foundation.errors import ModuleError
from image_retraining.foundation.hub_settings import tell_tensorflow_hub
from image_retraining.foundation.importing import import_tensorflow
from image_retraining.foundation.interruption import held_back, raise_if_interrupted
from image_retraining.foundation.records import (
    Catalog,
    Head,
    Split,
)
from image_retraining.foundation.settings import part_of
from image_retraining.head.class_weights import check_class_weights
from image_retraining.photos.folder import scan
from image_retraining.reports.findings import Ended, Exported, Proven
from image_retraining.reports.odd_photos import left_out_lines, warn_of_photos
from image_retraining.reports.reporter import Reporter, Reporters
from image_retraining.retraining import advising, cross_validating, ranking, run_folder
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.example import sure_photo
from image_retraining.retraining.output_names import check_output_names
from image_retraining.retraining.outputs import check_outputs
from image_retraining.retraining.telling import Stages, log_of, reporters


def run(config: RetrainConfig, *, label_image: str, also: Sequence[Reporter] = ()) -> Ended:
    """Returns what came of doing what the settings say, from photos to proven files.

    Args:
        config: the settings.
        label_image: what the command is called that labels photos.
        also: who else is told what the stages find.
    """
    with _telling(config, also) as (placed, tell, results):
        run_folder.warn_of_unfinished(placed)
        return _told(placed, label_image, tell, results)


def compare(config: RetrainConfig, *, also: Sequence[Reporter] = ()) -> Comparison:
    """Returns how the modules of --compare_modules do on the photos; trains on none of them.

    Args:
        config: the settings.
        also: who else is told what is found.
    """
    with _telling(config, also) as (placed, tell, _):
        catalog = tell(_photos(placed))
        with open_cache(placed.bottleneck_dir) as cache:
            _start_tensorflow(placed)
            from image_retraining.retraining import comparing, exporting  # noqa: PLC0415

            exporting.check(part_of(placed, exporting.ExportSettings))
            found = tell(comparing.compare_modules(placed, catalog, cache))
    # A training would list them at its end.
    warn_of_photos(left_out_lines(found.unreadable, len(catalog.records)))
    return found


def cuts(config: RetrainConfig) -> str:
    """Returns a table of where --fine_tune can cut the module; trains nothing.

    Args:
        config: the settings.
    """
    check_handle(config.tfhub_module)
    with open_cache(config.bottleneck_dir) as cache:
        _start_tensorflow(config)
        from image_retraining.retraining import extracting, fine_tuning  # noqa: PLC0415

        backbone = extracting.load(cache, part_of(config, extracting.ModuleSettings))
        return fine_tuning.places(backbone)


@contextlib.contextmanager
def _telling(
    config: RetrainConfig, also: Sequence[Reporter]
) -> Iterator[tuple[RetrainConfig, Reporters, contextlib.ExitStack]]:
    """Gives the settings `placed`, who is told, and what takes the results, when all is checked."""
    config = run_folder.going_on(run_folder.placed(config))
    check_handle(config.tfhub_module)
    for module in config.modules_to_compare:
        try:
            check_handle(module)
        except ModuleError as error:
            raise ModuleError(
                f"--compare_modules takes names as --tfhub_module does: {error}"
            ) from error
    check_output_names(config)
    with run_folder.held(config):
        check_outputs(config)
        with (
            log_of(config),
            # The results, which take their places together.
            contextlib.ExitStack() as results,
            Reporters(*reporters(config, results, also)) as tell,
        ):
            yield config, tell, results


def _photos(config: RetrainConfig) -> Catalog:
    """Returns the photos, of whose classes what else was given may speak."""
    catalog = scan(config.image_dir, **config.splitting)
    check_class_weights(config.class_weight, catalog.labels)
    return catalog


def _told(
    config: RetrainConfig, label_image: str, tell: Reporters, results: contextlib.ExitStack
) -> Ended:
    """Returns what came of all stages, each of which is told."""
    stages = Stages(tell)
    catalog = stages.done("catalog", _photos(config))
    waiting = ranking.find(config.label_next, config.image_dir)
    with open_cache(config.bottleneck_dir) as cache:
        _start_tensorflow(config)
        stages.done("start", None)
        from image_retraining.retraining import exporting, looking  # noqa: PLC0415

        wishes = part_of(config, exporting.ExportSettings)
        wishes = replace(wishes, overwrite=run_folder.may_replace(config))
        exporting.check(wishes)
        config = _compared(config, catalog, cache, stages)
        seen = looking.look(config, catalog, waiting, cache, stages)
    return _learnt(config, seen, wishes, label_image, stages, results)


def _learnt(
    config: RetrainConfig,
    seen: Any,
    wishes: Any,
    label_image: str,
    stages: Stages,
    results: contextlib.ExitStack,
) -> Ended:
    """Returns what came of the stages from the training on, by what is seen of the photos."""
    from image_retraining.retraining import (  # noqa: PLC0415 - as above
        cut_examples,
        evaluating,
        exporting,
        fine_tuning,
        training,
        training_task,
    )

    left_over = run_folder.left_over(config)
    labels, wanted = seen.catalog.labels, partial(part_of, config)
    judging, task = wanted(evaluating.JudgingSettings), wanted(training_task.TrainingSettings)
    sets = evaluating.without_copies(seen.extraction.sets, seen.copies, config.bottleneck_dir)
    crossing = wanted(cross_validating.CrossValidationSettings)
    pool = cross_validating.pool(sets, labels, crossing)
    trained = stages.done("trained", training.fit(sets, labels, seen.backbone, task, stages.tell))
    alone = cut_examples.Classifier(seen.catalog, seen.backbone, sets, trained.head)
    best = fine_tuning.better(config, alone, stages)
    calibrated = evaluating.look_how_sure(best.head, best.sets, judging)
    head = stages.done("calibrated", calibrated).head
    by_all = cross_validating.judge_by_all(pool, sets, labels, crossing)
    stages.done("cross_validated", by_all)
    curve = cross_validating.learn_from_fewer(pool, labels, by_all, crossing)
    stages.done("learning_curve", curve)
    judged = stages.done("judged", evaluating.judge(head, best.sets, labels, judging))
    wrong = evaluating.look_at_labels(sets, labels, judging, seen.others)
    stages.done("wrong_labels", wrong)
    asked = head if best is alone else alone.head
    stages.done("label_next", ranking.rank(seen.unlabelled, asked, sets, labels))
    found = partial(advising.advise, pool, copies=seen.copies, crossed=by_all, curve=curve)
    facts = exporting.facts(seen.catalog, best.backbone, judged, calibrated, wishes)
    with _points_beside(config, best, labels) as points:
        proven = exporting.export(calibrated, best.backbone, best.sets, facts, wishes, results)
        _place(results, stages.done("exports", proven), stages.tell)
        stages.done("advised", found(judged=judged, wrong=wrong))
        _illustrate(config, stages, best, head, (judged, wrong, seen.copies, by_all), points())
    return _ended(config, stages, best, (judged, calibrated), label_image, left_over)


def _ended(
    config: RetrainConfig,
    stages: Stages,
    best: Any,
    judged: tuple[Any, Any],
    label_image: str,
    left_over: tuple[str, ...],
) -> Ended:
    """Returns what came of all stages, which is told, with the command that tries it out."""
    tested, calibrated = judged
    validated = (best.sets[Split.VALIDATION].paths, calibrated.evaluation)
    photo = sure_photo([(tested.paths, tested.evaluation), validated])
    example = (*label_image.split(), *run_folder.graph_to_name(config), f"--image={photo}")
    more = _of_settings(config, best)
    return stages.tell(stages.told(example=example, left_over=left_over, **more))


def _points_beside(config: RetrainConfig, best: Any, labels: tuple[str, ...]) -> Any:
    """Gives what waits for photos as points, which are made while the exports are proven."""
    from image_retraining.retraining import illustrating  # noqa: PLC0415 - as above

    raise_if_interrupted()
    how = part_of(config, illustrating.IllustrationSettings)
    return illustrating.points_beside(best.sets, labels, how)


def _illustrate(
    config: RetrainConfig,
    stages: Stages,
    best: Any,
    head: Head,
    known: tuple[Any, ...],
    points: Any,
) -> None:
    """Makes the pictures of the report and of TensorBoard, which are told."""
    from image_retraining.retraining import activating, illustrating  # noqa: PLC0415 - as above

    how = part_of(config, illustrating.IllustrationSettings)
    found = illustrating.illustrate(best.backbone, head, how, illustrating.Found(*known), points)
    stages.done("illustrated", found)
    if config.summarize_activations:
        how_inside = part_of(config, activating.ActivationSettings)
        seen = activating.look_inside(points, best.backbone, head, how_inside)
        stages.done("activations", seen)


def _of_settings(config: RetrainConfig, best: Any) -> dict[str, Any]:
    """Returns what Ended says of the settings, and the photos as the exported network sees them."""
    is_asked_for = best.backbone.handle == config.tfhub_module
    return {
        "sets": best.sets,
        "summaries_dir": config.summaries_dir,
        "stands_in_for": "" if is_asked_for else config.tfhub_module,
    }


def _compared(
    config: RetrainConfig, catalog: Catalog, cache: BottleneckCache, stages: Stages
) -> RetrainConfig:
    """Returns the settings with the recommended module, if modules are to be compared."""
    from image_retraining.retraining import comparing  # noqa: PLC0415 - as above

    if not config.compare_modules:
        stages.done("compared", None)
        return config
    found = stages.done("compared", comparing.compare_modules(config, catalog, cache))
    return config.with_module(found.recommended.module)


def _place(results: contextlib.ExitStack, exports: tuple[Exported, ...], tell: Reporters) -> None:
    """Lets all results take their places, which no interruption comes between."""
    with held_back():
        tell(Proven(exports))
        results.close()
        for one in exports:
            tell(one)


def _start_tensorflow(config: RetrainConfig) -> None:
    """Imports TensorFlow, which takes seconds: not to say that a flag or a folder is wrong."""
    logging.info("Starting TensorFlow")
    tell_tensorflow_hub(config.tfhub_cache_dir, config.tfhub_model_load_format)
    import_tensorflow()
