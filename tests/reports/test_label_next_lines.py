import csv
from pathlib import Path

from image_retraining.evaluation.label_next import Candidate
from image_retraining.foundation.records import Unreadable
from image_retraining.reports.findings import LabelNext
from image_retraining.reports.label_next_lines import label_next_lines, writing_label_next

LABELS = ("=1", "玫\n瑰")
FOUND = LabelNext(
    candidates=tuple(
        Candidate(f"-{number}\n.jpg", number % 2, 0.625, 0.25, 1 - number / 100)
        for number in range(12)
    ),
    labels=LABELS,
    labelled_count=3,
    unreadable=(Unreadable("bad.jpg", "no photo"),),
)


def test_the_log_names_the_first() -> None:
    lines = label_next_lines(FOUND)
    assert lines[:5] == [
        "WARNING: 1 of 16 photos could not be read and was left out:",
        "  bad.jpg: no photo",
        "3 of 16 photos in --label_next are labelled already.",
        "Of 12 photos without a label these teach most, the first most of all:",
        r"  -0\n.jpg: likely =1 (0.62, by 0.25 more than the next)",
    ]
    assert len(lines) == 4 + 10 + 1
    assert lines[-1] == "  ... and 2 more"


def test_where_all_are_labelled_there_is_nothing_to_name() -> None:
    found = LabelNext(candidates=(), labels=LABELS, labelled_count=3, unreadable=())
    assert label_next_lines(found) == ["3 of 3 photos in --label_next are labelled already."]


def test_the_file_can_be_read_back_and_has_no_formula(tmp_path: Path) -> None:
    path = tmp_path / "new" / "next.csv"
    with writing_label_next(str(path), FOUND):
        assert not path.exists()
    with path.open(encoding="utf-8-sig", newline="") as file:
        header, *rows = csv.reader(file)
    assert header == ["path", "likely_label", "probability", "margin", "score"]
    assert rows[0] == ["'-0\n.jpg", "'=1", "0.625000", "0.250000", "1.000000"]
    assert rows[1][1] == "玫\n瑰"
    assert [row[4] for row in rows] == [f"{1 - number / 100:.6f}" for number in range(12)]
