"""The story of a training, a line a stage: each returns what it found, and reporters tell it."""

import contextlib
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from typing import Any, TypeVar

from absl import logging

from image_retraining.backbone.handles import check_handle
from image_retraining.cache.found import FoundFiles
from image_retraining.cache.opening import open_cache
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.readable import of_readable
from image_retraining.foundation.command_line import import_tensorflow
from image_retraining.foundation.hub_settings import tell_tensorflow_hub
from image_retraining.foundation.interruption import held_back, raise_if_interrupted
from image_retraining.foundation.records import Catalog, Evaluation, Extraction, Floats, Split
from image_retraining.foundation.settings import part_of
from image_retraining.head.softmax import softmax
from image_retraining.photos.folder import scan
from image_retraining.reports.files import LabelNextFile, MetricsFile, WrongLabelsFile
from image_retraining.reports.findings import Copies, Ended, Exported, Proven
from image_retraining.reports.log import Log, MisclassifiedLog
from image_retraining.reports.reporter import Reporter, Reporters
from image_retraining.reports.run_log import RunLog
from image_retraining.reports.settings_file import SettingsFile
from image_retraining.reports.tensorboard import TensorBoard
from image_retraining.retraining import advising, cross_validating, ranking, run_folder
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.output_names import check_output_names
from image_retraining.retraining.outputs import check_outputs

_Finding = TypeVar("_Finding")
_FIELDS = {field.name for field in fields(Ended)}


def run(config: RetrainConfig, *, label_image: str, also: Sequence[Reporter] = ()) -> Ended:
    """Returns what came of doing what the settings say, from photos to proven files.

    Args:
        config: the settings.
        label_image: what the command is called that labels photos.
        also: who else is told what the stages find.
    """
    config = run_folder.placed(config)
    check_handle(config.tfhub_module)
    check_output_names(config)
    with run_folder.held(config):
        check_outputs(config)
        with (
            _log_of(config),
            # The results, which take their places together.
            contextlib.ExitStack() as results,
            Reporters(*also, *_reporters(config, results)) as tell,
        ):
            run_folder.warn_of_unfinished(config)
            return _told(config, label_image, tell, results)


def _told(
    config: RetrainConfig, label_image: str, tell: Reporters, results: contextlib.ExitStack
) -> Ended:
    """Returns what came of all stages, each of which is told."""
    stages, wanted = _Stages(tell), partial(part_of, config)
    left_over, may_replace = run_folder.left_over(config), run_folder.may_replace(config)
    catalog = stages.done("catalog", scan(config.image_dir, **config.splitting))
    waiting = ranking.find(config.label_next, config.image_dir)
    with open_cache(config.bottleneck_dir) as cache:
        _start_tensorflow(config)
        stages.done("start", None)
        from image_retraining.retraining import evaluating, exporting, training  # noqa: PLC0415

        wishes = replace(wanted(exporting.ExportSettings), overwrite=may_replace)
        exporting.check(wishes)
        seen = _seen(config, catalog, waiting, cache, stages)
    labels, backbone = seen.catalog.labels, seen.backbone
    judging = wanted(evaluating.JudgingSettings)
    sets = evaluating.without_copies(seen.extraction.sets, seen.copies)
    crossing = wanted(cross_validating.CrossValidationSettings)
    pool = cross_validating.pool(sets, labels, crossing)
    task = wanted(training.TrainingSettings)
    trained = stages.done("trained", training.fit(sets, labels, backbone, task, tell))
    calibrated = evaluating.look_how_sure(trained.head, sets, judging)
    head = stages.done("calibrated", calibrated).head
    by_all = cross_validating.judge_by_all(pool, sets, labels, crossing)
    stages.done("cross_validated", by_all)
    curve = cross_validating.learn_from_fewer(pool, labels, by_all, crossing)
    stages.done("learning_curve", curve)
    judged = stages.done("judged", evaluating.judge(head, sets, labels, judging))
    wrong = evaluating.look_at_labels(sets, labels, judging, seen.others)
    stages.done("wrong_labels", wrong)
    stages.done("label_next", ranking.rank(seen.unlabelled, head, sets, labels))
    found = partial(advising.advise, pool, copies=seen.copies, crossed=by_all, curve=curve)
    raise_if_interrupted()
    facts = exporting.facts(seen.catalog, backbone, judged, calibrated, wishes)
    proven = exporting.export(calibrated, backbone, sets, facts, wishes, results)
    _place(results, stages.done("exports", proven), tell)
    stages.done("advised", found(judged=judged, wrong=wrong))
    validated = (sets[Split.VALIDATION].paths, calibrated.evaluation)
    photo = f"--image={_example([(judged.paths, judged.evaluation), validated])}"
    example = (*label_image.split(), *run_folder.graph_to_name(config), photo)
    return tell(stages.told(example=example, left_over=left_over, **_of_settings(config, backbone)))


def _of_settings(config: RetrainConfig, backbone: Any) -> dict[str, str]:
    """Returns what Ended says of the settings."""
    is_asked_for = backbone.handle == config.tfhub_module
    return {
        "summaries_dir": config.summaries_dir,
        "stands_in_for": "" if is_asked_for else config.tfhub_module,
    }


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is known of the photos before the training.

    Attributes:
        catalog: those that can be read.
        backbone: the module that looked at them, frozen.
        extraction: their feature vectors.
        copies: which of them are one and the same.
        others: what other modules have of them.
        unlabelled: the photos without labels that are to be ranked; None without.
    """

    catalog: Catalog
    backbone: Any
    extraction: Extraction
    copies: Copies
    others: Sequence[Mapping[bytes, Floats]]
    unlabelled: Extraction | None


def _seen(
    config: RetrainConfig,
    catalog: Catalog,
    waiting: Catalog | None,
    cache: BottleneckCache,
    stages: "_Stages",
) -> _Seen:
    """Returns what the stages before the training found, which are told."""
    from image_retraining.retraining import evaluating, extracting  # noqa: PLC0415 - as above

    backbone = extracting.load(cache, part_of(config, extracting.ModuleSettings))
    stages.done("backbone", backbone)
    how = part_of(config, extracting.ExtractionSettings)
    extraction = extracting.extract(catalog, backbone, cache, how)
    stages.done("extraction", extraction)
    catalog, extraction = _readable(catalog, extraction, stages)
    judging = part_of(config, evaluating.JudgingSettings)
    kept = FoundFiles(cache.folder)
    found = evaluating.find_copies(extraction.sets, catalog.labels, judging, kept)
    copies = stages.done("copies", found)
    asked = evaluating.other_vectors if config.label_issues_file else lambda *_: ()
    others = asked(extraction.sets, backbone.fingerprint, cache)
    unlabelled = None
    if waiting is not None:
        plain = replace(how, views=replace(how.views, count=0))
        unlabelled = extracting.extract(waiting, backbone, cache, plain)
    return _Seen(catalog, backbone, extraction, copies, others, unlabelled)


def _readable(
    catalog: Catalog, extraction: Extraction, stages: "_Stages"
) -> tuple[Catalog, Extraction]:
    """Returns both without what cannot be read, which is told."""
    if extraction.unreadable:
        catalog, extraction = of_readable(catalog, extraction)
        stages.mend(catalog=catalog, extraction=extraction)
    return catalog, extraction


def _place(results: contextlib.ExitStack, exports: tuple[Exported, ...], tell: Reporters) -> None:
    """Lets all results take their places, which no interruption comes between."""
    with held_back():
        tell(Proven(exports))
        results.close()
        for one in exports:
            tell(one)


class _Stages:
    """Has told what each stage found, and takes its time."""

    def __init__(self, tell: Reporters) -> None:
        self._tell = tell
        self._found: dict[str, Any] = {}
        self._seconds: dict[str, float] = {}
        self._last = time.monotonic()

    def done(self, stage: str, finding: _Finding) -> _Finding:
        """Returns what a stage found, which began when the one before it was done."""
        now = time.monotonic()
        self._seconds[stage], self._last = now - self._last, now
        self._found[stage] = finding
        return self._tell(finding)

    def mend(self, *, catalog: Catalog, extraction: Extraction) -> None:
        """Takes what the first stages found as it is known now, and has the photos told again."""
        self._found |= {"catalog": catalog, "extraction": extraction}
        self._tell(catalog)

    def told(self, **more: Any) -> Ended:
        """Returns all of it: the stages are called as the fields of Ended."""
        found = {name: value for name, value in self._found.items() if name in _FIELDS}
        return Ended(**found, seconds=self._seconds, **more)


def _reporters(config: RetrainConfig, results: contextlib.ExitStack) -> Iterator[Reporter]:
    """Yields who is to be told, in the order in which each finding is told.

    Args:
        config: the settings.
        results: takes the files that reporters write.
    """
    yield Log(expects_metrics=bool(config.metrics_file), max_accuracy_drop=config.max_accuracy_drop)
    yield TensorBoard(config.summaries_dir)
    if config.metrics_file:
        yield MetricsFile(config.metrics_file, results)
    if config.print_misclassified_test_images:
        yield MisclassifiedLog()
    if config.label_issues_file:
        yield WrongLabelsFile(config.label_issues_file, results)
    if config.label_next_file:
        yield LabelNextFile(config.label_next_file, results)
    # Last, for it says that all else is done.
    if config.output_dir:
        yield SettingsFile(
            run_folder.settings_path(config),
            config.settings,
            config.named,
            replaces_finished=run_folder.holds_finished_run(config),
        )


def _log_of(config: RetrainConfig) -> RunLog:
    """Returns what keeps all lines of the run, with what was asked for at their beginning."""
    named = [f"--{name}={value}" for name, value in config.settings.items() if name in config.named]
    return RunLog(run_folder.log_path(config), named)


def _example(judged: Iterable[tuple[Sequence[str], Evaluation | None]]) -> str:
    """Returns the photo whose right answer is the surest, in the first set that has one.

    Args:
        judged: sets of photos that were not learnt from, with the answers to them.
    """
    for paths, evaluation in judged:
        if evaluation is None:
            continue
        sureness = softmax(evaluation.logits).max(axis=1)
        sureness[evaluation.predicted_ids != evaluation.label_ids] = 0
        if sureness.any():
            return paths[int(sureness.argmax())]
    return "X.jpg"


def _start_tensorflow(config: RetrainConfig) -> None:
    """Imports TensorFlow, which takes seconds: not to say that a flag or a folder is wrong."""
    logging.info("Starting TensorFlow")
    tell_tensorflow_hub(config.tfhub_cache_dir, config.tfhub_model_load_format)
    import_tensorflow()
