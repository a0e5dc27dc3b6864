"""The stage of retrain.py that judges: how good the head is, and which labels look wrong."""

import numpy as np
from absl import logging

from image_retraining.evaluation import wrong_labels
from image_retraining.evaluation.calibration import Calibration, calibrate, calibrated
from image_retraining.evaluation.metrics import Metrics, measure
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.records import (
    Catalog,
    Evaluation,
    Extraction,
    FeatureSet,
    Head,
    Split,
)
from image_retraining.head.sampling import Indices, Sampler
from image_retraining.head.softmax import evaluate
from image_retraining.reports import calibration_report
from image_retraining.reports.metrics_board import write_to_tensorboard
from image_retraining.reports.metrics_tables import table, write_metrics_file
from image_retraining.retraining.config import RetrainConfig

_TEST_DRAWS = 2


def calibrated_head(
    config: RetrainConfig, head: Head, extraction: Extraction
) -> tuple[Head, Calibration | None]:
    """Returns the head to export, and how sure its answers may be; None if nobody can tell.

    Raises:
        SettingError: --calibrate is asked for, and the head went astray.
    """
    photos = extraction.sets[Split.VALIDATION]
    if not len(photos):
        if config.calibrate:
            logging.warning("WARNING: --calibrate does nothing: there is no validation photo.")
        return head, None
    evaluation = evaluate(head, photos.features, photos.label_ids)
    try:
        calibration = calibrate(evaluation.logits, evaluation.label_ids)
    except SettingError as error:
        if config.calibrate:
            raise
        logging.warning("WARNING: %s", error)
        return head, None
    logging.info("%s", calibration_report.line(calibration))
    calibration_report.write_to_tensorboard(
        config.summaries_dir, calibration, evaluation, step=config.how_many_training_steps - 1
    )
    if config.calibrate:
        head = calibrated(head, calibration.temperature)
    return head, calibration


def judge(
    config: RetrainConfig, catalog: Catalog, head: Head, extraction: Extraction
) -> Metrics | None:
    """Returns how the head does on the test photos, which it has never met; logs and writes it.

    None without test photos.
    """
    photos = extraction.sets[Split.TESTING]
    if not len(photos):
        logging.warning(
            "WARNING: there is no test photo, so nobody knows how good this is. Add photos, or "
            "raise --testing_percentage.%s",
            " --metrics_file is not written." if config.metrics_file else "",
        )
        return None
    chosen = np.arange(len(photos))
    if config.test_batch_size != -1:
        sampler = Sampler(photos.label_ids, seed=config.seed, purpose=_TEST_DRAWS)
        chosen = sampler.draw(0, config.test_batch_size)
    result = evaluate(head, photos.features[chosen], photos.label_ids[chosen])
    logging.info("Final test accuracy = %.1f%% (N=%d)", result.accuracy * 100, len(chosen))
    metrics = measure(result, catalog.labels)
    for line in table(metrics):
        logging.info("%s", line)
    last_step = config.how_many_training_steps - 1
    write_to_tensorboard(config.summaries_dir, metrics, step=last_step)
    if config.metrics_file:
        write_metrics_file(config.metrics_file, metrics)
        logging.info("Save metrics to : %s", config.metrics_file)
    if config.print_misclassified_test_images:
        _list_misclassified(catalog, photos, chosen, result)
    return metrics


def look_at_labels(config: RetrainConfig, catalog: Catalog, extraction: Extraction) -> None:
    """Logs and writes which photos have a label that looks wrong, if asked to."""
    if not config.label_issues_file:
        return
    logging.info("Looking for labels that look wrong")
    issues = wrong_labels.find(extraction.sets, seed=config.seed)
    photo_count = sum(map(len, extraction.sets.values()))
    for line in wrong_labels.report(issues, catalog.labels, photo_count=photo_count):
        logging.info("%s", line)
    wrong_labels.write(config.label_issues_file, issues, catalog.labels)
    logging.info("Save label issues to : %s", config.label_issues_file)


def _list_misclassified(
    catalog: Catalog, photos: FeatureSet, chosen: Indices, result: Evaluation
) -> None:
    logging.info("=== MISCLASSIFIED TEST IMAGES ===")
    for index, predicted, true in zip(chosen, result.predicted_ids, result.label_ids, strict=True):
        if predicted != true:
            logging.info("%70s  %s", photos.paths[index], catalog.labels[predicted])
