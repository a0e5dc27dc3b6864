import html
import io
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tensorboard.backend.event_processing import event_accumulator
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator

from image_retraining.evaluation.metrics import Metrics
from image_retraining.reports.event_files import EventFile
from image_retraining.reports.metrics_board import write_to_tensorboard

NOT_UTF_8 = b"caf\xe9".decode(errors="surrogateescape")
AWKWARD = ("snake_case_name", "a|b", "<b>*bold*</b>", "[x](http://y)", "1\n2", NOT_UTF_8, "玫瑰")
SHOWN = ["snake_case_name", "a|b", "<b>*bold*</b>", "[x](http://y)", r"1\n2", r"caf\udce9", "玫瑰"]


def metrics(labels: tuple[str, ...], *, top_5_accuracy: float | None = None) -> Metrics:
    figures = np.linspace(0.25, 0.75, len(labels))
    return Metrics(
        labels=labels,
        accuracy=0.875,
        top_5_accuracy=top_5_accuracy,
        cross_entropy=0.25,
        precision=figures,
        recall=figures,
        f1=figures,
        confusion=np.eye(len(labels), dtype=np.int64),
        roc_auc=figures / 2,
        average_precision=figures / 4,
    )


def events(folder: Path) -> Any:
    """Returns what TensorBoard finds in the test run."""
    accumulator = EventAccumulator(str(folder / "test"), size_guidance={"tensors": 0})
    accumulator.Reload()
    return accumulator


def strings(folder: Path, tag: str) -> list[bytes]:
    (event,) = events(folder).Tensors(tag)
    return list(event.tensor_proto.string_val)


def test_tensorboard_shows_each_figure_where_it_belongs(tmp_path: Path) -> None:
    write_to_tensorboard(str(tmp_path), metrics(("a", "b"), top_5_accuracy=0.5), step=99)
    found = events(tmp_path)
    shown = {
        tag: found.SummaryMetadata(tag).plugin_data.plugin_name for tag in found.Tags()["tensors"]
    }
    scalars = (
        *("accuracy", "cross_entropy", "macro_accuracy", "macro_f1", "top_5_accuracy"),
        *("macro_roc_auc", "macro_average_precision"),
        *("accuracy_interval/low", "accuracy_interval/high"),
        *("top_5_accuracy_interval/low", "top_5_accuracy_interval/high"),
    )
    assert shown == {
        **dict.fromkeys(scalars, "scalars"),
        "classes": "text",
        "confusion_matrix": "images",
        "confusion_matrix_normalized": "images",
    }
    assert {event.step for tag in shown for event in found.Tensors(tag)} == {99}


def test_scalars_and_picture_as_scripts_find_them(tmp_path: Path) -> None:
    write_to_tensorboard(str(tmp_path), metrics(("a", "b")))
    found = event_accumulator.EventAccumulator(str(tmp_path / "test")).Reload()
    values = {tag: found.Scalars(tag)[0].value for tag in found.Tags()["scalars"]}
    assert values == {
        "accuracy": 0.875,
        "cross_entropy": 0.25,
        "macro_accuracy": 0.5,
        "macro_f1": 0.5,
        "macro_roc_auc": 0.25,
        "macro_average_precision": 0.125,
        # Of 2 of 2, by Wilson's formula.
        "accuracy_interval/low": pytest.approx(0.342380, abs=1e-6),
        "accuracy_interval/high": 1,
    }
    (picture,) = found.Images("confusion_matrix")
    with Image.open(io.BytesIO(picture.encoded_image_string)) as image:
        assert image.size == (picture.width, picture.height)
        assert image.format == "PNG"


# Of a package that TensorBoard has a copy of.
@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
def test_labels_stand_in_the_text_as_they_are(tmp_path: Path) -> None:
    write_to_tensorboard(str(tmp_path), metrics(AWKWARD))
    (text,) = strings(tmp_path, "classes")
    # What TensorBoard makes of the text; it warns when it is imported.
    from tensorboard import plugin_util  # noqa: PLC0415

    # Cells without a tag inside.
    cells = re.findall("<td>([^<]*)</td>", plugin_util.markdown_to_safe_html(text))
    rows = [[html.unescape(cell) for cell in cells[start : start + 8]] for start in range(0, 56, 8)]
    assert [row[:2] for row in rows] == [[str(n), label] for n, label in enumerate(SHOWN)]
    assert rows[-1][2:] == ["75.0%", "75.0%", "75.0%", "0.375", "0.188", "1"]


def test_what_is_undefined_has_no_curve(tmp_path: Path) -> None:
    nothing = np.full([2], np.nan)
    judged = replace(metrics(("a", "b")), roc_auc=nothing, average_precision=nothing)
    write_to_tensorboard(str(tmp_path), judged)
    assert not {"macro_roc_auc", "macro_average_precision"} & set(
        events(tmp_path).Tags()["tensors"]
    )


def test_an_earlier_test_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    EventFile(str(tmp_path), "train").close()
    (tmp_path / "test").mkdir()
    foreign = tmp_path / "test" / "events.out.tfevents.1700000000.host.1.0.v2"
    foreign.touch()
    (train,) = (tmp_path / "train").iterdir()
    for _ in range(2):
        write_to_tensorboard(str(tmp_path), metrics(("a", "b")))
        (own,) = set((tmp_path / "test").iterdir()) - {foreign}
        assert own.stat().st_size > 0
    assert foreign.exists()
    assert train.exists()
    assert len(strings(tmp_path, "confusion_matrix")) == 3
