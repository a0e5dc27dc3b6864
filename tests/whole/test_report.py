"""The report of whole runs: what stands in it, and that it is one file that does no harm."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from browser_here import Page, check_quiet, check_readable, copied, press, seen
from conftest import draw_misfiled, save_module
from selenium.webdriver import Chrome

from image_retraining.reports.findings import Ended
from image_retraining.reports.html.choice import Illustrated
from image_retraining.reports.html.report import HtmlReport
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

# Of class folders; one would be a tag and is wider than a phone, one goes from right to left.
EVIL = "<script>alert(1)< and so many words that no phone is wide enough for all of them at once"
ARABIC, CHINESE = "وردة", "玫瑰 🌹"
COLOURS = {EVIL: (200, 40, 30), ARABIC: (40, 190, 60), CHINESE: (50, 60, 210)}


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three colours, of which some lie in a wrong folder, one twice, one is broken."""
    folder = tmp_path_factory.mktemp("report") / "photos"
    draw_misfiled(folder, COLOURS, count=40, wrong=(6, 13, 21), noise=40, size=64)
    for number in range(12):
        copy = folder / EVIL / f"copy{number}.png"
        copy.write_bytes((folder / EVIL / "0_00.png").read_bytes())
    (folder / CHINESE / "broken & <b>.png").write_bytes(b"\x89PNG no more")
    return folder


@pytest.fixture(scope="module")
def mapped_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A module with a map of features, which a heat map needs."""
    weights = np.random.default_rng(2).normal(size=[3, 3, 3, 6]).astype(np.float32)

    def features(pictures: Any) -> Any:
        found = tf.nn.relu(tf.nn.conv2d(pictures, weights, strides=2, padding="SAME"))
        return tf.reduce_mean(found, [1, 2])

    return save_module(tmp_path_factory.mktemp("modules") / "mapped", features, (None, 32, 32, 3))


@pytest.fixture(scope="module")
def settings(photos: Path, mapped_module: Path) -> dict[str, Any]:
    return {
        "image_dir": str(photos),
        "tfhub_module": str(mapped_module),
        "bottleneck_dir": str(photos.parent / "cache"),
        "testing_percentage": 30,
        "validation_percentage": 40,
        "named": frozenset({"image_dir", "tfhub_module", "testing_percentage"}),
    }


class Kept:
    """Keeps what is told."""

    def __init__(self) -> None:
        self.findings: list[Any] = []

    def tell(self, finding: object) -> None:
        self.findings.append(finding)

    def close(self) -> None: ...


@pytest.fixture(scope="module")
def told(settings: dict[str, Any], photos: Path) -> tuple[Page, Ended, list[Any]]:
    """The report of a run with all there is, and what its stages found."""
    kept, out = Kept(), photos.parent / "run"
    config = RetrainConfig(
        **settings,
        output_dir=str(out),
        how_many_training_steps=300,
        cross_validate=3,
        learning_curve=True,
        label_issues_file="issues.csv",
    )
    ended = run(config, label_image="label_image", also=[kept])
    return Page((out / "report.html").read_text("utf-8")), ended, kept.findings


def test_its_parts_are_in_order(told: tuple[Page, Ended, list[Any]]) -> None:
    page, _, _ = told
    assert page.parts == [
        *("advice", "photos", "training", "classes", "wrong", "issues"),
        *("sureness", "learning", "map", "again"),
    ]


def test_it_says_what_was_found(told: tuple[Page, Ended, list[Any]]) -> None:
    page, ended, _ = told
    metrics = ended.judged.metrics
    assert metrics
    right = int(metrics.confusion.trace())
    assert f"{right} of {metrics.count} test photos right" in page.text
    assert f"That is {metrics.accuracy * 100:.1f}%." in page.text
    crossed = ended.cross_validated
    assert crossed
    assert f"of {crossed.found.metrics.count} photos right" in page.text
    assert ended.trained.kept
    assert f"Kept: step {ended.trained.kept.step}" in page.text
    assert "1 left out, for they cannot be read" in page.text
    assert "broken & <b>.png" in page.text
    assert "Photos that are learnt from and tested on" in page.text
    assert "--testing_percentage" in page.text
    assert ended.backbone.fingerprint in page.text
    wrong = ended.wrong_labels
    assert wrong
    assert len(wrong.issues) > 3
    assert f"{len(wrong.issues)} of {wrong.photo_count} photos." in page.text


def test_names_are_words_and_nothing_else(told: tuple[Page, Ended, list[Any]]) -> None:
    page, _, _ = told
    assert [one.get("type") for one in page.all("script")] == ["application/json", None]
    assert page.all("b")
    for label in COLOURS:
        assert label in page.text
    heads = [one for one in page.all("th") if one.get("dir") == "auto"]
    assert len(heads) >= 6


def test_it_needs_no_network(told: tuple[Page, Ended, list[Any]], photos: Path) -> None:
    page, _, _ = told
    pictures = [one.get("src") or "" for one in page.all("img") if "src" in one]
    assert len(pictures) > 20
    assert all(source.startswith("data:image/jpeg;base64,") for source in pictures)
    assert not page.all("link")
    text = (photos.parent / "run" / "report.html").read_text("utf-8")
    # The one address is that which says what SVG is.
    found = set(re.findall(r"(?:https?:)?//[^\s\"'<>)]+", re.sub(r"base64,[^\"]*", "", text)))
    assert {one for one in found if not one.startswith("//")} == {"http://www.w3.org/2000/svg"}
    assert "@import" not in text
    assert "url(" not in text


def test_wrong_answers_are_shown_with_their_evidence(told: tuple[Page, Ended, list[Any]]) -> None:
    page, ended, findings = told
    (pictures,) = [one for one in findings if isinstance(one, Illustrated)]
    choice = pictures.choice
    mistakes = list(ended.judged.misclassified())
    assert len(choice.wrong) == choice.wrong_count == len(mistakes) > 2
    assert {one.path for one in choice.wrong} == {path for path, _ in mistakes}
    sureness = [one.probability for one in choice.wrong]
    assert sureness == sorted(sureness, reverse=True)
    assert len({one.label_id for one in choice.examples}) == len(choice.examples) == 3
    assert set(pictures.photos) == set(choice.paths())
    assert set(pictures.heatmaps) == {one.path for one in choice.with_evidence}
    assert pictures.problem == ""
    pairs = [one.get("data-pair") for one in page.all("figure") if one.get("data-pair")]
    assert pairs == [f"{one.label_id}-{one.answer_id}" for one in choice.wrong]
    options = {one.get("value") for one in page.all("option")} - {"0", "1", "2"}
    shown = {one.get("data-show") for one in page.all("button") if one.get("data-show")}
    assert set(pairs) == options - {""} == shown


def test_the_map_has_all_photos_and_rings_the_wrong_ones(
    told: tuple[Page, Ended, list[Any]],
) -> None:
    page, ended, findings = told
    (pictures,) = [one for one in findings if isinstance(one, Illustrated)]
    found, crossed = pictures.photo_map, ended.cross_validated
    assert found
    assert crossed
    paths = {path for photos in ended.extraction.sets.values() for path in photos.paths}
    assert {spot.path for spot in found.spots} == paths
    right = crossed.found.predicted_ids == crossed.found.label_ids
    wrong = {
        path for path, is_right in zip(crossed.found.paths, right, strict=True) if not is_right
    }
    assert {spot.path for spot in found.spots if spot.is_wrong} == wrong
    assert all(spot.picture.startswith(b"\xff\xd8") for spot in found.spots)
    circles = [(one.get("class") or "").split() for one in page.all("circle")]
    assert sum("spot" in one for one in circles) == len(paths)
    assert sum("ring" in one for one in circles) == len(wrong)
    # Of one colour and set, photos lie together: nearer to their own middle than to others'.
    places = np.array([spot.place for spot in found.spots])
    label_ids = np.array([spot.label_id for spot in found.spots])
    middles = np.array([np.median(places[label_ids == one], axis=0) for one in range(3)])
    nearest = np.linalg.norm(places[:, np.newaxis] - middles, axis=2).argmin(axis=1)
    assert (nearest == label_ids).mean() > 0.8


def test_none_is_written_where_nobody_wants_one(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    settings = settings | {
        "report_file": "",
        "named": settings["named"] | {"report_file"},
        "output_dir": str(tmp_path / "run"),
        "how_many_training_steps": 5,
        "cross_validate": -1,
    }
    kept = Kept()
    run(RetrainConfig(**settings), label_image="label_image", also=[kept])
    assert not list(tmp_path.rglob("*.html"))
    (pictures,) = [one for one in kept.findings if isinstance(one, Illustrated)]
    # TensorBoard has some all the same.
    assert pictures.photo_map is None
    assert not pictures.heatmaps
    assert set(pictures.photos) == {one.path for one in pictures.choice.wrong[:20]}
    assert not [one for one in logged.messages if one.startswith("Report")]


def test_it_lies_beside_the_graph_and_does_without_tests_and_maps(
    settings: dict[str, Any], colour_module: Path, tmp_path: Path
) -> None:
    names = {
        "output_graph": str(tmp_path / "g.pb"),
        "output_labels": str(tmp_path / "l.txt"),
        "summaries_dir": str(tmp_path / "logs"),
        "checkpoint_path": str(tmp_path / "checkpoint"),
    }
    settings = settings | names | {"tfhub_module": str(colour_module), "optimizer": "lbfgs"}
    settings |= {"testing_percentage": 0, "validation_percentage": 30, "cross_validate": -1}
    settings |= {"report_map": "tsne"}
    run(RetrainConfig(**settings), label_image="label_image")
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert "Trained, and not tested" in page.text
    assert page.parts == ["advice", "photos", "training", "sureness", "map", "again"]
    assert "Kept: --l2=" in page.text
    assert "in two dimensions (t-SNE)" in page.text


def test_a_report_that_cannot_be_written_is_a_warning(
    told: tuple[Page, Ended, list[Any]], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    _, _, findings = told
    (tmp_path / "file").write_text("no folder")
    reporter = HtmlReport(str(tmp_path / "file" / "report.html"), {}, {})
    for finding in findings:
        reporter.tell(finding)
    reporter.close()
    assert [one for one in logged.messages if one.startswith("WARNING: there is no report: ")]


def test_photos_that_are_gone_are_told(told: tuple[Page, Ended, list[Any]], tmp_path: Path) -> None:
    _, ended, findings = told
    (pictures,) = [one for one in findings if isinstance(one, Illustrated)]
    path = next(iter(pictures.photos))
    photos = {name: jpeg for name, jpeg in pictures.photos.items() if name != path}
    reporter = HtmlReport(str(tmp_path / "report.html"), {"seed": 0}, {})
    reporter.tell(replace(pictures, photos=photos, heatmaps={}, problem="No map of <features>."))
    reporter.tell(ended)
    page = Page((tmp_path / "report.html").read_text("utf-8"))
    assert "cannot be read any more" in page.text
    assert "Where the evidence is cannot be shown: No map of <features>." in page.text


# In a browser


@pytest.fixture
def opened(browser: Chrome, told: tuple[Page, Ended, list[Any]], photos: Path) -> Chrome:
    assert told[1].exports
    browser.set_window_size(1280, 900)
    browser.get((photos.parent / "run" / "report.html").as_uri())
    return browser


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_everybody_can_read_it(opened: Chrome, width: int, scheme: str) -> None:
    check_readable(opened, width=width, scheme=scheme)


def test_it_asks_for_nothing_and_complains_of_nothing(opened: Chrome) -> None:
    check_quiet(opened)


def test_a_click_on_a_column_sorts(opened: Chrome) -> None:
    rows = "#classes table[data-sortable] tbody tr"

    def supports() -> list[int]:
        return [int(row.text.split()[-1]) for row in seen(opened, rows)]

    press(opened, "#classes table[data-sortable] thead button", -1)
    up = supports()
    assert up == sorted(up)
    press(opened, "#classes table[data-sortable] thead button", -1)
    assert supports() == up[::-1]
    (head,) = seen(opened, "#classes th[aria-sort]")
    assert head.get_attribute("aria-sort") == "descending"


def test_a_cell_of_the_matrix_shows_its_photos(opened: Chrome) -> None:
    everything = len(seen(opened, "#gallery figure"))
    cell = seen(opened, ".matrix button")[0]
    count, pair = int(cell.text), cell.get_attribute("data-show")
    press(opened, ".matrix button")
    shown = seen(opened, "#gallery figure")
    assert len(shown) == count < everything
    assert {one.get_attribute("data-pair") for one in shown} == {pair}


def test_a_photo_is_enlarged_and_closed(opened: Chrome) -> None:
    assert not seen(opened, "dialog")
    press(opened, "#gallery [data-enlarge]")
    (large,) = seen(opened, "dialog img")
    small = seen(opened, "#gallery img")[0]
    assert large.get_attribute("src") == small.get_attribute("src")
    assert large.size["width"] > 2 * small.size["width"]
    press(opened, "dialog button")
    assert not seen(opened, "dialog")


def test_ticked_paths_are_copied(opened: Chrome, told: tuple[Page, Ended, list[Any]]) -> None:
    _, ended, _ = told
    assert ended.wrong_labels
    for place in (0, 2):
        press(opened, "#issues input", place)
    issues = ended.wrong_labels.issues
    assert copied(opened, "[data-copy-ticked]").split("\n") == [issues[0].path, issues[2].path]


def test_the_map_shows_a_class_and_a_photo(opened: Chrome) -> None:
    spots = len(seen(opened, "#spots .spot"))
    opened.execute_script(
        "const select = document.querySelector('[data-map]'); select.value = '1';"
        "select.dispatchEvent(new Event('change'))"
    )
    some = seen(opened, "#spots .spot")
    assert 0 < len(some) < spots
    assert {"label1" in (one.get_attribute("class") or "") for one in some} == {True}
    assert not seen(opened, "#pointed")
    opened.execute_script(
        "arguments[0].dispatchEvent(new MouseEvent('mouseenter', {clientX: 5, clientY: 5}))",
        some[0],
    )
    (pointed,) = seen(opened, "#pointed")
    assert (pointed.get_attribute("src") or "").startswith("data:image/jpeg")


def test_a_table_of_many_classes_scrolls_in_itself_and_finds_them(
    browser: Chrome, told: tuple[Page, Ended, list[Any]], tmp_path: Path
) -> None:
    _, ended, findings = told
    labels = (*ended.catalog.labels, *(f"Class {number}" for number in range(297)))
    reporter = HtmlReport(str(tmp_path / "report.html"), {}, {})
    for finding in findings:
        if isinstance(finding, Illustrated):
            reporter.tell(finding)
    reporter.tell(replace(ended, catalog=replace(ended.catalog, labels=labels)))
    browser.get((tmp_path / "report.html").as_uri())
    # Rows of 25 pixels and more would push all else away.
    assert seen(browser, "#photos .long")[0].size["height"] < 600
    assert not seen(browser, "#classes .long")
    (field,) = seen(browser, "#photos [data-find]")
    field.send_keys("class 29")
    assert [
        row.text.split("\n")[0].partition(" 0")[0] for row in seen(browser, "#photos tbody tr")
    ] == [*(f"Class {number}" for number in (29, *range(290, 297)))]
    check_readable(browser, width=390, scheme="dark")
    check_quiet(browser)
