import csv
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from image_retraining.evaluation.cross_validation import CrossValidation
from image_retraining.evaluation.learning_curve import CurvePoint, LearningCurve, Outlook
from image_retraining.evaluation.metrics import Metrics
from image_retraining.foundation.errors import OutputError, SettingError
from image_retraining.reports.metrics_file import check_metrics_file, writing_metrics_file
from image_retraining.reports.metrics_tables import table

NAN = float("nan")
# A class folder whose name is Latin-1, as os.listdir gives it.
NOT_UTF_8 = b"caf\xe9".decode(errors="surrogateescape")
AWKWARD = (
    "roses, red",
    'the "best"',
    "two\nlines\r",
    "玫瑰",
    " 👍 ",
    "support",
    "a\\nb",
    NOT_UTF_8,
)


def metrics(
    labels: tuple[str, ...], *, f1: Any = None, top_5_accuracy: float | None = None
) -> Metrics:
    """Returns figures that are easily told apart, not those of any head."""
    size = len(labels)
    figures = np.linspace(0, 1, 3 * size).reshape([3, size])
    return Metrics(
        labels=labels,
        accuracy=0.875,
        top_5_accuracy=top_5_accuracy,
        cross_entropy=0.25,
        precision=figures[0],
        recall=figures[1],
        f1=figures[2] if f1 is None else np.array(f1, np.float64),
        confusion=np.arange(size * size, dtype=np.int64).reshape([size, size]),
        roc_auc=figures[0] / 2,
        average_precision=figures[1] / 4,
    )


# Drawn by hand. Class 猫 has no photo. A wide character takes two columns, an accent none; 글 in
# three parts, as macOS names files, is one character.
HAND_MADE = Metrics(
    labels=("daisy", "玫瑰", "猫", "a\nb\x1b", "\u1100\u1173\u11afe\u0301", NOT_UTF_8),
    accuracy=0.5,
    top_5_accuracy=1.0,
    cross_entropy=1.25,
    precision=np.array([1, 0.5, NAN, 0, 0.25, 1]),
    recall=np.array([0.333333, 1, NAN, 0, 0.5, 1]),
    f1=np.array([0.5, 0.666667, NAN, 0, 0.333333, 1]),
    confusion=np.diag([12345, 1, 0, 2, 3, 4]),
    roc_auc=np.array([1, 0.5, NAN, 0, 0.25, 0.9995]),
    average_precision=np.array([1, 0.5, NAN, 0.125, 0.2504, 1]),
)
LINES = [
    "Label             precision  recall      F1  ROC AUC     AP  support",
    "daisy                100.0%   33.3%   50.0%    1.000  1.000    12345",
    "玫瑰                  50.0%  100.0%   66.7%    0.500  0.500        1",
    "猫                        -       -       -        -      -        0",
    r"a\nb\x1b               0.0%    0.0%    0.0%    0.000  0.125        2",
    "\u1100\u1173\u11afe\u0301                   25.0%   50.0%   33.3%    0.250  0.250        3",
    r"caf\udce9            100.0%  100.0%  100.0%    1.000  1.000        4",
    "Mean of 5 labels      55.0%   56.7%   50.0%    0.550  0.575    12355",
    (
        "ROC AUC and average precision (AP) are undefined for 1 of 6 labels, for these photos do "
        "not tell them from others: none is of the label, or all are."
    ),
    (
        "Test photos: top-1 accuracy = 50.0%, top-5 accuracy = 100.0%, macro accuracy = 56.7%, "
        "cross entropy = 1.250000 (N=12355)"
    ),
]


def test_the_table() -> None:
    assert table(HAND_MADE) == LINES


def test_without_top_5() -> None:
    assert "top-5" not in table(metrics(("a", "b")))[-1]


@pytest.mark.parametrize(("classes", "rows"), [(50, 50), (51, 20)])
def test_of_many_classes_the_weakest(classes: int, rows: int) -> None:
    # Class 0 has the highest F1, the last the lowest; class 1 has no photo.
    f1 = np.linspace(1, 0, classes)
    f1[1] = NAN
    many = metrics(tuple(f"class {number}" for number in range(classes)), f1=f1)
    many.confusion[1] = 0
    lines = table(many)
    named = [line.split("  ")[0] for line in lines if line.startswith("class ")]
    if classes == 50:
        assert named == list(many.labels)
    else:
        assert lines[0] == ("The 20 of 51 labels with the lowest F1 (--metrics_file writes all):")
        assert named == list(many.labels)[:-21:-1]
    assert len(named) == rows
    assert f"Mean of {classes - 1} labels" in lines[-2]


@pytest.mark.parametrize("name", ["a.json", "a.csv", "/x/玫瑰.JSON", "a.txt.Csv"])
def test_names_of_metrics_files(name: str) -> None:
    check_metrics_file(name)


@pytest.mark.parametrize("name", ["", "a", "json", ".json", "a.jsonl", "a.csv.gz", "a.json/b"])
def test_names_that_do_not_say_a_format(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"--metrics_file must end in \.json or \.csv"):
        check_metrics_file(name)
    path = str(tmp_path / f"{name}x")
    with pytest.raises(SettingError), writing_metrics_file(path, metrics(("a", "b"))):
        pass
    assert list(tmp_path.iterdir()) == []


def interval(name: str, right: float, count: int) -> dict[str, Any]:
    """Returns Wilson's interval of a share; z is the normal quantile of 97.5%."""
    z, share = 1.959963984540054, right / count
    middle = share + z * z / (2 * count)
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = (end / (1 + z * z / count) for end in (middle - half, middle + half))
    return {f"{name}_low": pytest.approx(low), f"{name}_high": pytest.approx(high)}


def test_json_has_everything(tmp_path: Path) -> None:
    path = tmp_path / "new folder" / "metrics.json"
    judged = metrics(AWKWARD, top_5_accuracy=0.95)
    with writing_metrics_file(str(path), judged):
        pass
    text = path.read_text(encoding="utf-8")
    assert "玫瑰" in text
    found = json.loads(text)
    assert [row["label"] for row in found["classes"]] == list(AWKWARD)
    for name, column in (
        ("precision", judged.precision),
        ("recall", judged.recall),
        ("f1", judged.f1),
        ("support", judged.support),
        ("roc_auc", judged.roc_auc),
        ("average_precision", judged.average_precision),
    ):
        assert [row[name] for row in found["classes"]] == column.tolist()
    for row, right, count in zip(
        found["classes"], judged.confusion.diagonal(), judged.support, strict=True
    ):
        ends = {name: row[name] for name in ("recall_low", "recall_high")}
        assert ends == interval("recall", right, count)
    assert found["confusion_matrix"] == judged.confusion.tolist()
    del found["classes"], found["confusion_matrix"]
    assert found == {
        "count": 64 * 63 // 2,
        "accuracy": 0.875,
        **interval("accuracy", judged.confusion.trace(), judged.count),
        "top_5_accuracy": 0.95,
        **interval("top_5_accuracy", 1915.2, 2016),
        "cross_entropy": 0.25,
        "macro_accuracy": pytest.approx(judged.recall.mean()),
        "macro_precision": pytest.approx(judged.precision.mean()),
        "macro_recall": pytest.approx(judged.recall.mean()),
        "macro_f1": pytest.approx(judged.f1.mean()),
        "macro_roc_auc": pytest.approx(judged.roc_auc.mean()),
        "macro_average_precision": pytest.approx(judged.average_precision.mean()),
    }


def crossed(judged: Metrics) -> CrossValidation:
    nobody = np.zeros([0], np.int32)
    return CrossValidation(
        paths=(),
        label_ids=nobody,
        probabilities=np.zeros([0, 2], np.float32),
        folds=np.zeros([0], np.intp),
        fold_count=7,
        strengths=(),
        left_out=("玫瑰",),
        metrics=judged,
    )


def test_the_files_have_what_cross_validation_found(tmp_path: Path) -> None:
    judged, other = metrics(("a", "b")), metrics(("a", "b"), f1=[0.25, 0.75])
    for ending in ("json", "csv"):
        path = str(tmp_path / f"metrics.{ending}")
        with writing_metrics_file(path, judged, crossed(other)):
            pass
        with writing_metrics_file(f"{path}.{ending}", other):
            pass
    found, plain = (
        json.loads((tmp_path / name).read_text()) for name in ("metrics.json", "metrics.json.json")
    )
    assert found["cross_validation"] == {"folds": 7, "left_out": ["玫瑰"], **plain}
    assert found["classes"] != plain["classes"]
    table, of_other = (
        pd.read_csv(tmp_path / name, index_col="label")
        for name in ("metrics.csv", "metrics.csv.csv")
    )
    names = [name for name in table if name.startswith("cross_validated_")]
    assert len(names) == 4
    for name in names:
        expected = of_other[name.removeprefix("cross_validated_")]
        assert table[name].tolist() == expected.tolist()


def test_json_has_the_learning_curve(tmp_path: Path) -> None:
    path = str(tmp_path / "metrics.json")
    point = CurvePoint(100, 3, 0.75, (0.5, 1.0))
    curve = LearningCurve((point,), 998, 5, Outlook(200, 0.05, 0.01, 0.25))
    with writing_metrics_file(path, metrics(("a", "b")), None, curve):
        pass
    found = json.loads(Path(path).read_text())
    assert found["learning_curve"] == [
        {"learnt_from": 100, "accuracy": 0.75, "accuracy_low": 0.5, "accuracy_high": 1.0}
    ]
    outlook = {"photo_count": 200, "gain": 0.05, "low": 0.01, "high": 0.25}
    assert found["twice_the_photos"] == outlook
    with writing_metrics_file(path, metrics(("a", "b")), None, replace(curve, outlook=None)):
        pass
    assert json.loads(Path(path).read_text())["twice_the_photos"] is None


def test_json_has_no_word_for_nan(tmp_path: Path) -> None:
    path = tmp_path / "metrics.json"
    judged = metrics(("a", "b"), f1=[NAN, 1])
    with writing_metrics_file(str(path), judged):
        pass
    found = json.loads(path.read_text(), parse_constant=pytest.fail)
    assert [row["f1"] for row in found["classes"]] == [None, 1]
    assert found["top_5_accuracy"] is None


def test_csv_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    judged = metrics(AWKWARD, f1=[NAN, *np.linspace(0, 1, 7)])
    with writing_metrics_file(str(path), judged):
        pass
    # A name that is not UTF-8 has an escape in its file.
    labels = [*AWKWARD[:-1], r"caf\udce9"]
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header[:5] == ["label", "precision", "recall", "f1", "support"]
    assert header[5:9] == ["recall_low", "recall_high", "roc_auc", "average_precision"]
    assert header[9:] == [f"predicted {label}" for label in labels]
    assert [row[0] for row in rows] == labels
    assert [[int(cell) for cell in (row[4], *row[9:])] for row in rows] == [
        [sum(row), *row] for row in judged.confusion.tolist()
    ]


def test_no_cell_of_the_csv_is_a_formula(tmp_path: Path) -> None:
    # Once: as it was, and Excel ran it.
    with writing_metrics_file(str(tmp_path / "m.csv"), metrics(("=1", "'+b"), f1=[NAN, 1])):
        pass
    with (tmp_path / "m.csv").open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert [row[0] for row in rows] == ["'=1", "''+b"]
    assert header[9:] == ["predicted =1", "predicted '+b"]


def test_pandas_and_excel_read_the_csv(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    with writing_metrics_file(str(path), metrics(("玫瑰", "b"), f1=[NAN, 1])):
        pass
    found = pd.read_csv(path)
    assert list(found) == [
        *("label", "precision", "recall", "f1", "support", "recall_low", "recall_high"),
        *("roc_auc", "average_precision", "predicted 玫瑰", "predicted b"),
    ]
    assert found.isna().to_numpy().sum() == 1
    assert found["support"].tolist() == [1, 5]
    # Without this mark Excel takes the file for that of an old code page.
    assert path.read_bytes().startswith(b"\xef\xbb\xbf")


@pytest.mark.parametrize("ending", ["json", "csv"])
def test_a_metrics_file_is_whole_or_not_at_all(
    ending: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"metrics.{ending}"
    path.write_text("old")

    def stop(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(sys.modules["image_retraining.reports.metrics_file"], "_class_rows", stop)
    no_room = pytest.raises(OutputError, match="No space left")
    with no_room, writing_metrics_file(str(path), metrics(("a", "b"))):
        pass
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
