"""What came of a run → TensorBoard: a page in words, and a row of the table of all runs.

A run is a session of the HParams plugin, its figures those scalars that lie beside in outcome/, so
that `tensorboard --logdir` of a folder with many runs has them in one table.
"""

import os
import shlex
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams import api_pb2, metadata, plugin_data_pb2
from tensorboard.plugins.hparams.summary_v2 import hparams_pb
from tensorboard.plugins.text.summary_v2 import text_pb

from image_retraining.evaluation.metrics import Metrics
from image_retraining.foundation.records import Split
from image_retraining.foundation.text import shown
from image_retraining.photos.counts import counts
from image_retraining.reports.event_files import (
    OUTCOME_RUN,
    remove_earlier,
    scalars_of,
    write_summaries,
)
from image_retraining.reports.findings import Ended
from image_retraining.reports.markdown import escaped, table
from image_retraining.reports.metrics_tables import interval, percent


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What was asked for.

    Attributes:
        name: of the run, its folder.
        named: the settings that the person gave.
        shaping: the settings by which classifiers differ, whether given or not.
    """

    name: str
    named: Mapping[str, Any]
    shaping: Mapping[str, Any]


def write_to_tensorboard(summaries_dir: str, ended: Ended, asked: Asked) -> None:
    """Writes outcome/, in place of what an earlier run of this tool wrote there.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        ended: what came of a run.
        asked: what was asked for.

    Raises:
        OutputError: it cannot be written.
    """
    remove_earlier(summaries_dir, [OUTCOME_RUN])
    step = ended.trained.last_step
    write_summaries(summaries_dir, OUTCOME_RUN, _summaries(ended, asked), step=step)


def _summaries(ended: Ended, asked: Asked) -> Iterator[Summary]:
    now = time.time()
    chosen = {
        name: shown(one) if isinstance(one, str) else one for name, one in _chosen(ended, asked)
    }
    # Two runs of equal settings are two rows, for their photos may differ. Of long names the
    # table shows the beginning.
    folder, name = os.path.split(os.path.abspath(asked.name))
    trial = shown(f"{name} in {folder}")
    yield hparams_pb(chosen, trial_id=trial, start_time_secs=now - _seconds(ended))
    end = plugin_data_pb2.SessionEndInfo(status=api_pb2.STATUS_SUCCESS, end_time_secs=now)
    content = metadata.create_summary_metadata(
        plugin_data_pb2.HParamsPluginData(session_end_info=end)
    )
    tag = metadata.SESSION_END_INFO_TAG
    yield Summary(value=[Summary.Value(tag=tag, metadata=content, tensor=metadata.NULL_TENSOR)])
    yield scalars_of({f"outcome/{name}": value for name, value in _figures(ended).items()})
    # TensorBoard opens the first of its groups of texts, by their names.
    yield text_pb("about", _page(ended, asked))


def _chosen(ended: Ended, asked: Asked) -> Iterator[tuple[str, Any]]:
    """Yields the settings, the module taken in the end, and how much there was to learn from."""
    yield from asked.shaping.items()
    yield "tfhub_module", ended.backbone.handle
    yield "classes", len(ended.catalog.labels)
    yield "training_photos", len(ended.extraction.sets[Split.TRAINING])


def _figures(ended: Ended) -> dict[str, float]:
    """Returns what runs are compared by: accuracies of 0 to 1, cross entropies in nats."""
    figures: dict[str, float] = {}
    crossed, validated = ended.cross_validated, ended.calibrated.evaluation
    by_metrics = {
        "test": ended.judged.metrics,
        "cross_validated": crossed and crossed.found.metrics,
    }
    for name, metrics in by_metrics.items():
        if metrics:
            figures[f"{name}_accuracy"] = metrics.accuracy
            figures[f"{name}_cross_entropy"] = metrics.cross_entropy
            figures[f"{name}_macro_f1"] = metrics.macro_f1
    if validated is not None:
        figures["validation_accuracy"] = validated.accuracy
        figures["validation_cross_entropy"] = validated.cross_entropy
    if ended.calibrated.calibration is not None:
        figures["validation_calibration_error"] = ended.calibrated.calibration.error_before
    return figures | {"seconds": _seconds(ended)}


def _seconds(ended: Ended) -> float:
    return sum(ended.seconds.values())


def _page(ended: Ended, asked: Asked) -> str:
    """Returns the page in Markdown."""
    words = ["retrain.py", *(f"--{name}={one}" for name, one in asked.named.items())]
    # No line of it can end the block, for no name has lines here.
    command = " \\\n".join(f"    {shlex.quote(shown(word))}" for word in words)
    parts = [
        f"# {escaped(asked.name)}",
        command,
        "## What came of it",
        table(("", "", "95% interval", "photos"), list(_rows(ended)), left=1),
        "## Photos",
        _counts(ended),
        "## What was written",
        "\n".join(f"- {escaped(one.name)}: {escaped(one.path)}" for one in ended.exports),
    ]
    return "\n\n".join(parts)


def _rows(ended: Ended) -> Iterator[tuple[str, ...]]:
    crossed, validated = ended.cross_validated, ended.calibrated.evaluation
    if ended.judged.metrics:
        yield from _of("Test", ended.judged.metrics)
    if crossed:
        yield from _of("Cross-validated", crossed.found.metrics)
    if validated is not None:
        count = str(len(validated.label_ids))
        yield "Validation accuracy", percent(validated.accuracy), "", count
        yield "Validation cross entropy", f"{validated.cross_entropy:.4f}", "", count
    if ended.trained.kept:
        yield "Head kept, of step", str(ended.trained.kept.step), "", ""
    if ended.calibrated.calibration is not None:
        yield "Temperature", f"{ended.calibrated.calibration.temperature:.3g}", "", ""
    yield "Module", escaped(ended.backbone.handle), "", ""
    yield "Features", str(ended.backbone.feature_size), "", ""
    yield "Seconds", f"{_seconds(ended):.1f}", "", ""


def _of(name: str, metrics: Metrics) -> Iterator[tuple[str, ...]]:
    count = str(metrics.count)
    ends = escaped(interval(metrics.accuracy_interval))
    yield f"{name} accuracy", percent(metrics.accuracy), ends, count
    yield f"{name} cross entropy", f"{metrics.cross_entropy:.4f}", "", count
    yield f"{name} macro F1", percent(metrics.macro_f1), "", count


def _counts(ended: Ended) -> str:
    """Returns a table of one row a class, and one of all: how many photos are in each set."""
    labels = ended.catalog.labels
    figures = [[*row.values(), sum(row.values())] for row in counts(ended.catalog)]
    rows = [(escaped(label), *map(str, row)) for label, row in zip(labels, figures, strict=True)]
    rows.append(("all classes", *(str(sum(column)) for column in zip(*figures, strict=True))))
    return table(("label", *(split.value for split in Split), "all"), rows)
