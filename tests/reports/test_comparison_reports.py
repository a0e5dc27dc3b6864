"""Compared modules as lines, as files and as a picture."""

import csv
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from comparisons_made_here import contender, right_but

from image_retraining.evaluation.comparison import Comparison, Failure, compare
from image_retraining.foundation.errors import OutputError, SettingError
from image_retraining.reports.comparison_file import (
    ComparisonFile,
    check_comparison_file,
    write_comparison,
)
from image_retraining.reports.comparison_lines import comparison_lines, recommendation
from image_retraining.reports.comparison_plot import ComparisonPlot, bubbles, check_plot_file
from image_retraining.reports.log import Log


def compared(**more: Any) -> Comparison:
    return compare(
        [
            contender("keras:VGG16", right_but(1, count=100), milliseconds=90.04, **more),
            contender("模型", right_but(2, 3, count=100), milliseconds=9, test=()),
            contender("=small", right_but(*range(4, 34), count=100), milliseconds=1),
        ],
        [Failure("no\nwhere", "It does not exist.")],
    )


def test_the_log_has_a_table(logged: pytest.LogCaptureFixture) -> None:
    Log().tell(compared())
    assert logged.messages == [
        "Modules compared on 100 photos in 5 folds, the best first:",
        (
            "  Module          pixels  features  cross-validated    95% interval  test (N=4)  "
            "photos/s  ms a photo    MB  against the best"
        ),
        (
            "  keras:VGG16  224 x 192      1280            99.0%  94.6% to 99.8%       75.0%  "
            "    50.0        90.0  13.4  the best"
        ),
        (
            "  模型         224 x 192      1280            98.0%  93.0% to 99.4%           -  "
            "    50.0         9.0  13.4  not told apart (p = 1.000)"
        ),
        (
            "  =small       224 x 192      1280            70.0%  60.4% to 78.1%       75.0%  "
            "    50.0         1.0  13.4  worse (p < 0.001)"
        ),
        r"  no\nwhere: It does not exist.",
        (
            "Recommended: 模型, with 9.0 ms a photo the quicker of the 2 that these photos cannot "
            "tell from the best (McNemar's test, 5%; less accurate by 2 points at most)"
        ),
    ]


@pytest.mark.parametrize("width", [76, 80, 100])
def test_the_table_fits_a_narrow_terminal(width: int) -> None:
    long = "/data/modules/of/many/people/mobilenet_v2_035_224"
    found = compared()
    first = replace(found.contenders[0], module=long)
    found = replace(found, contenders=(first, *found.contenders[1:]))
    # The last two are sentences, which are wrapped.
    *table, _, _ = comparison_lines(found, width=width)
    assert max(map(len, table)) <= width
    assert len(table) == 5
    assert table[1].split()[:2] == ["Module", "cross-validated"]
    assert "...s/of/many" not in table[2]
    assert table[2].split()[0].endswith("mobilenet_v2_035_224")
    assert ("ms a photo" in table[1]) == (width == 100)


def test_integers_have_a_column_where_they_are_asked_for() -> None:
    title, first, second, *_ = comparison_lines(compared(int8=4.61))[1:]
    assert "    MB  int8 MB  against the best" in title
    assert "  13.4      4.6  the best" in first
    assert "  13.4        -  not told apart" in second


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ([(), ()], "with 7.5 ms a photo the quicker of the 2 that these photos cannot"),
        ([(), (), ()], "the quickest of the 3 that these photos cannot"),
        ([(), range(20)], "Recommended: 0, more accurate than any other (McNemar's test, 5%)"),
        (
            [(), range(3)],
            "more accurate than any other by more than 2 points; the photos are too few to tell",
        ),
        ([()], "Recommended: 0, the only module that could be compared"),
    ],
)
def test_the_recommendation_says_why(wrong: list[Any], expected: str) -> None:
    contenders = [
        contender(str(place), right_but(*numbers), milliseconds=10 - 2.5 * place)
        for place, numbers in enumerate(wrong)
    ]
    assert expected in recommendation(compare(contenders))


def test_programs_read_it(tmp_path: Path) -> None:
    paths = [tmp_path / "c.json", tmp_path / "c.CSV"]
    for path in paths:
        reporter = ComparisonFile(str(path))
        reporter.tell("something else")
        assert not path.exists()
        reporter.tell(compared(int8=4.5))
        reporter.close()
    rows = json.loads(paths[0].read_text("utf-8"))
    assert rows[0] == {
        "module": "keras:VGG16",
        "height": 224,
        "width": 192,
        "features": 1280,
        "cross_validated_accuracy": 0.99,
        "accuracy_low": pytest.approx(0.9455, abs=1e-4),
        "accuracy_high": pytest.approx(0.9982, abs=1e-4),
        "cross_validated_count": 100,
        "test_accuracy": 0.75,
        "test_count": 4,
        "photos_per_second": 50,
        "milliseconds_a_photo": 90.04,
        "megabytes": 13.4,
        "int8_megabytes": 4.5,
        "p_value": 1,
        "as_good_as_the_best": True,
        "recommended": False,
        "problem": None,
    }
    assert [row["recommended"] for row in rows] == [False, True, False, None]
    assert (rows[1]["test_accuracy"], rows[1]["test_count"]) == (None, 0)
    assert (rows[3]["module"], rows[3]["problem"]) == ("no\nwhere", "It does not exist.")
    with paths[1].open(encoding="utf-8-sig", newline="") as file:
        sheet = list(csv.DictReader(file))
    assert [list(row) for row in sheet] == [list(rows[0])] * 4
    # What a spreadsheet would take for a formula is text.
    assert [row["module"] for row in sheet] == ["keras:VGG16", "模型", "'=small", "no\nwhere"]
    assert [row["milliseconds_a_photo"] for row in sheet] == ["90.04", "9", "1", ""]


@pytest.mark.parametrize("name", ["c.txt", "c", "c.xls", ".json", "c.png"])
def test_the_name_of_a_file_says_its_format(name: str) -> None:
    with pytest.raises(SettingError, match=r"--compare_file must end in \.json or \.csv"):
        check_comparison_file(name)
    with pytest.raises(SettingError, match=r"--compare_plot_file must end in \.svg"):
        check_plot_file(name)
    check_plot_file("c.SVG")
    check_comparison_file("c.JSON")


def elements(svg: str, kind: str) -> list[ET.Element]:
    root = ET.fromstring(svg)  # noqa: S314 - it is our own
    return [one for one in root.iter() if one.tag.endswith(f"}}{kind}")]


def texts(svg: str) -> list[str]:
    return [text.text or "" for text in elements(svg, "text")]


def test_the_picture_shows_all_modules(tmp_path: Path) -> None:
    path = tmp_path / "plot.svg"
    reporter = ComparisonPlot(str(path))
    reporter.tell("something else")
    assert not path.exists()
    reporter.tell(compared())
    reporter.close()
    svg = path.read_text("utf-8")
    words = texts(svg)
    assert {"keras:VGG16", "模型", "=small", "99.0%, 90.0 ms, 13.4 MB"} <= set(words)
    assert [one for one in words if "recommended" in one] == ["98.0%, 9.0 ms, 13.4 MB, recommended"]
    # Of the three times from 1 to 90 ms, and of accuracies from 60% to 100%.
    assert {"1", "2", "5", "10", "20", "50", "100", "60", "70", "80", "90"} <= set(words)
    circles = elements(svg, "circle")
    assert sorted(one.get("class", "") for one in circles) == ["good", "good", "worse"]


def test_places_are_those_of_the_figures() -> None:
    places = {
        (one.get("class"), float(one.get("cx", 0)), float(one.get("cy", 0)))
        for one in elements(bubbles(compared()), "circle")
    }
    by_time = sorted(places, key=lambda one: one[1])
    assert [one[0] for one in by_time] == ["worse", "good", "good"]
    (_, first, low), (_, second, middle), (_, third, high) = by_time
    # Ten times as long is as far as another ten times.
    expected = math.log(9) / math.log(90.04 / 9)
    assert (second - first) / (third - second) == pytest.approx(expected, abs=0.01)
    # Upwards is better: 70, 98 and 99%.
    assert (low - middle) / (middle - high) == pytest.approx(28 / 1, rel=0.05)


def test_the_area_is_the_size() -> None:
    contenders = compared().contenders
    costs = [
        replace(one.costs, megabytes=mb) for one, mb in zip(contenders, (4, 16, 9000), strict=True)
    ]
    sizes = [replace(one, costs=cost) for one, cost in zip(contenders, costs, strict=True)]
    circles = elements(bubbles(compare(sizes)), "circle")
    small, large, largest = sorted(float(one.get("r", 0)) for one in circles)
    assert large == 2 * small
    # None hides all others; and what is small is drawn after what is large.
    assert largest < 50
    assert float(circles[0].get("r", 0)) == largest


def test_equal_comparisons_are_equal_pictures_and_a_single_module_is_one() -> None:
    assert bubbles(compared()) == bubbles(compared())
    alone = bubbles(compare([contender("alone", right_but())]))
    assert alone != bubbles(compared())
    assert "nan" not in alone
    assert len(elements(alone, "circle")) == 1


def test_many_names_lie_below_each_other() -> None:
    many = [contender(f"m{place:02}", right_but(), milliseconds=1 + place) for place in range(25)]
    root = ET.fromstring(bubbles(compare(many)))  # noqa: S314 - it is our own
    rows = [
        float(one.get("y", 0))
        for one in root
        if one.tag.endswith("}text")
        and (one.text or "").startswith("m")
        and len(one.text or "") == 3
    ]
    assert len(rows) == 25
    assert min(np.diff(rows)) >= 28
    height = float((root.get("viewBox") or "").split()[-1])
    assert height > max(rows)


@pytest.mark.parametrize(
    ("module", "expected"),
    [
        ("/a/b/mobilenet/", "mobilenet"),
        ("keras:VGG16:/a/weights.h5", "keras:VGG16:weights.h5"),
        ("https://tfhub.dev/google/x/1", "google/x/1"),
        (
            "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5",
            "imagenet/inception_v3/feature_vector/5",
        ),
        ("<b>&</b>", "b>"),
        ("a\nb", r"a\nb"),
    ],
)
def test_names_are_short_in_the_picture(module: str, expected: str) -> None:
    names = texts(bubbles(compare([contender(module, right_but(1))])))
    assert any(name.endswith(expected) and len(name) <= 43 for name in names)


def test_what_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OutputError, match="cannot be written"):
        write_comparison(str(tmp_path / "file" / "c.json"), compared())
