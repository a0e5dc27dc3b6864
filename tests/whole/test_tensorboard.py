"""What TensorBoard shows of whole runs: read by its own reader, and opened in a browser."""

import html
import io
import json
import re
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from browser_here import started
from conftest import draw_misfiled, save_module
from PIL import Image
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome
from selenium.webdriver.support.ui import WebDriverWait
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata as hparams

from image_retraining.reports.findings import Ended
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run

# Of class folders; one would be a tag, and one would end a cell and be bold.
EVIL, MARKED, CHINESE = "<img src=x onerror=alert(1)>", "a|**b**", "玫瑰"
COLOURS = {EVIL: (200, 40, 30), MARKED: (40, 190, 60), CHINESE: (50, 60, 210)}
# A sandboxed Chromium draws the projector's points without a GPU.
DRAWS_POINTS = ("use-gl=angle", "use-angle=swiftshader", "enable-unsafe-swiftshader")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos of three colours, of which some lie in a wrong folder."""
    folder = tmp_path_factory.mktemp("board") / "photos"
    return draw_misfiled(folder, COLOURS, count=30, wrong=(6, 13, 21), noise=40, size=64)


@pytest.fixture(scope="module")
def conv_module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    random = np.random.default_rng(2)
    weights = [
        random.normal(size=shape).astype(np.float32) for shape in ([3, 3, 3, 6], [3, 3, 6, 8])
    ]

    def features(pictures: Any) -> Any:
        found = tf.nn.relu(tf.nn.conv2d(pictures, weights[0], strides=2, padding="SAME"))
        found = tf.nn.relu(tf.nn.conv2d(found, weights[1], strides=2, padding="SAME"))
        return tf.reduce_mean(found, [1, 2])

    return save_module(tmp_path_factory.mktemp("modules") / "conv", features, (None, 32, 32, 3))


@pytest.fixture(scope="module")
def server(photos: Path) -> Iterator[str]:
    """The address of a TensorBoard of the folder of runs, which starts while these are made."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = Path(sys.executable).with_name("tensorboard")
    words = [str(program), "--logdir", str(photos.parent / "runs"), "--reload_interval", "1"]
    words += ["--host", "127.0.0.1", "--port", str(port)]
    nowhere = subprocess.DEVNULL
    with subprocess.Popen(words, stdout=nowhere, stderr=nowhere) as process:
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


@pytest.fixture(scope="module")
def runs(server: str, photos: Path, conv_module: Path) -> tuple[Path, dict[str, Ended]]:
    """The folder of two runs that differ in their flags, and what came of each."""
    assert server
    folder = photos.parent / "runs"
    settings: dict[str, Any] = {
        "image_dir": str(photos),
        "tfhub_module": str(conv_module),
        "bottleneck_dir": str(photos.parent / "cache"),
        "testing_percentage": 30,
        "validation_percentage": 30,
        "report_file": "",
    }
    each: dict[str, dict[str, Any]] = {
        "steps": {
            "how_many_training_steps": 60,
            "cross_validate": 3,
            "summarize_activations": True,
        },
        "solved": {"optimizer": "lbfgs", "label_smoothing": 0.1, "cross_validate": -1},
    }
    ended = {}
    for name, more in each.items():
        given = settings | more | {"output_dir": str(folder / name)}
        config = RetrainConfig(**given, named=frozenset(given))
        ended[name] = run(config, label_image="label_image")
    return folder, ended


Runs = tuple[Path, dict[str, Ended]]


def found(folder: Path, run_name: str, name: str = "steps") -> Any:
    """Returns what TensorBoard finds of a run."""
    accumulator = EventAccumulator(
        str(folder / name / "logs" / run_name), size_guidance={"tensors": 0}
    )
    accumulator.Reload()
    return accumulator


def scalars(folder: Path, name: str) -> dict[str, float]:
    of_run = found(folder, "outcome", name)
    return {
        tag: float(tf.make_ndarray(of_run.Tensors(tag)[0].tensor_proto))
        for tag in of_run.Tags()["tensors"]
        if of_run.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    }


def chosen(folder: Path, name: str) -> Any:
    of_run = found(folder, "outcome", name)
    content = of_run.SummaryMetadata(hparams.SESSION_START_INFO_TAG).plugin_data.content
    return hparams.parse_session_start_info_plugin_data(content)


def test_settings_and_figures_of_a_run_are_those_of_its_end(runs: Runs) -> None:
    folder, ended = runs
    for name, one in ended.items():
        start, figures = chosen(folder, name), scalars(folder, name)
        assert start.group_name == f"{name} in {folder}"
        optimizer = {"steps": "gradient_descent", "solved": "lbfgs"}[name]
        assert start.hparams["optimizer"].string_value == optimizer
        assert start.hparams["testing_percentage"].number_value == 30
        assert start.hparams["calibrate"].bool_value is False
        assert start.hparams["classes"].number_value == 3
        metrics = one.judged.metrics
        assert metrics
        assert figures["outcome/test_accuracy"] == pytest.approx(metrics.accuracy)
        assert figures["outcome/test_cross_entropy"] == pytest.approx(metrics.cross_entropy)
        assert ("outcome/cross_validated_accuracy" in figures) == (name == "steps")
    crossed = ended["steps"].cross_validated
    assert crossed
    assert scalars(folder, "steps")["outcome/cross_validated_accuracy"] == pytest.approx(
        crossed.found.metrics.accuracy
    )


def test_what_changes_no_classifier_is_no_hyperparameter(runs: Runs) -> None:
    folder, _ = runs
    names = set(chosen(folder, "steps").hparams)
    assert {"learning_rate", "l2", "flip_left_right", "seed", "split", "tfhub_module"} <= names
    assert not [name for name in names if name.endswith(("_dir", "_file", "_path"))]
    assert not {"resume", "output_graph", "summaries_dir", "bottleneck_engine"} & names


# Of a package that TensorBoard has a copy of.
@pytest.mark.filterwarnings("ignore:html5lib's sanitizer is deprecated")
def test_the_page_of_a_run_has_its_command_its_figures_and_its_photos(runs: Runs) -> None:
    from tensorboard import plugin_util  # noqa: PLC0415 - it warns when it is imported

    folder, ended = runs
    (text,) = found(folder, "outcome").Tensors("about")[0].tensor_proto.string_val
    page = plugin_util.markdown_to_safe_html(text)
    (command,) = re.findall(r"<code>(.*?)</code>", page, re.DOTALL)
    words = html.unescape(command).replace("\\\n", " ").split()
    assert words[0] == "retrain.py"
    assert {"--how_many_training_steps=60", "--cross_validate=3"} <= set(words)
    assert not [word for word in words if word.startswith("--learning_rate")]
    rows = [
        [html.unescape(cell) for cell in re.findall(r"<td[^>]*>([^<]*)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", page, re.DOTALL)
    ]
    by_name = {row[0]: row[1:] for row in rows if row}
    sets = ended["steps"].extraction.sets
    for label_id, label in enumerate(ended["steps"].catalog.labels):
        counts = [int((part.label_ids == label_id).sum()) for part in sets.values()]
        assert by_name[label] == [str(count) for count in (*counts, sum(counts))]
    assert by_name["all classes"][-1] == "90"
    metrics = ended["steps"].judged.metrics
    assert metrics
    assert by_name["Test accuracy"][0] == f"{metrics.accuracy * 100:.1f}%"
    assert by_name["Test accuracy"][2] == str(metrics.count)
    assert {"Cross-validated accuracy", "Validation cross entropy", "Head kept, of step"} <= set(
        by_name
    )


def test_photos_answered_wrongly_are_those_of_the_test(runs: Runs) -> None:
    folder, ended = runs
    of_photos = found(folder, "photos")
    tags = [tag for tag in of_photos.Tags()["tensors"] if tag.startswith("wrong answers/")]
    mistakes = dict(ended["steps"].judged.misclassified())
    assert len(tags) == min(len(mistakes), 20) > 2
    abouts = {html.unescape(of_photos.SummaryMetadata(tag).summary_description) for tag in tags}
    assert abouts <= set(mistakes)
    assert len(abouts) == len(tags)


def test_curves_are_of_the_test_and_of_the_cross_validation(runs: Runs) -> None:
    folder, _ = runs
    for run_name in ("test", "cross_validation"):
        tags = found(folder, run_name).Tags()["tensors"]
        curves = sorted(tag for tag in tags if tag.startswith("classes/"))
        assert curves == [f"classes/{place} {label}" for place, label in enumerate(sorted(COLOURS))]


def test_layers_are_shown_of_a_photo_a_class(runs: Runs) -> None:
    folder, _ = runs
    of_layers = found(folder, "activations")
    tags = set(of_layers.Tags()["tensors"])
    sizes = {}
    for tag in tags:
        width, height, png = of_layers.Tensors(tag)[0].tensor_proto.string_val
        with Image.open(io.BytesIO(png)) as picture:
            assert picture.size == (int(width), int(height))
            sizes[tag] = picture.size
    features = {tag for tag in tags if tag.startswith("photos with most of a feature/")}
    assert tags - features == {
        "filters of the first convolution",
        *(f"activations/layer {n} of 2 of {label}" for n in (1, 2) for label in COLOURS),
        *(f"what excites filters/layer {n} of 2" for n in (1, 2)),
    }
    assert sorted(tag.split("speaks for ")[1] for tag in features) == sorted(COLOURS)
    # Filters of 3 x 3 as squares of 11, 3 beside each other; six pictures of 32 as of 64.
    assert sizes["filters of the first convolution"] == (3 * (33 + 2) + 2, 2 * (33 + 2) + 2)
    assert sizes["what excites filters/layer 1 of 2"] == (3 * (64 + 2) + 2, 2 * (64 + 2) + 2)
    # The folder of the other run was looked at, whether it can be written to.
    assert not list((folder / "solved" / "logs" / "activations").iterdir())


def test_the_photos_of_a_feature_are_those_with_most_of_it(runs: Runs) -> None:
    folder, ended = runs
    of_layers = found(folder, "activations")
    extraction, head = ended["steps"].extraction, ended["steps"].calibrated.head
    vectors = np.concatenate([part.features for part in extraction.sets.values()])
    label_ids = np.concatenate([part.label_ids for part in extraction.sets.values()])
    for label_id, label in enumerate(ended["steps"].catalog.labels):
        feature = int((head.weights[:, label_id] * vectors.std(axis=0)).argmax())
        tag = f"photos with most of a feature/feature {feature}, which speaks for {label}"
        about = html.unescape(of_layers.SummaryMetadata(tag).summary_description)
        most = label_ids[np.argsort(-vectors[:, feature])[:12]]
        named = [about.count(one) for one in ended["steps"].catalog.labels]
        assert named == np.bincount(most, minlength=3).tolist()


def test_a_module_without_convolutions_is_told(
    runs: Runs, colour_module: Path, photos: Path, logged: pytest.LogCaptureFixture
) -> None:
    out = photos.parent / "flat"
    given: dict[str, Any] = {
        "image_dir": str(photos),
        "tfhub_module": str(colour_module),
        "bottleneck_dir": str(photos.parent / "cache"),
        "output_dir": str(out),
        "optimizer": "lbfgs",
        "summarize_activations": True,
        "report_file": "",
    }
    assert runs
    run(RetrainConfig(**given, named=frozenset(given)), label_image="label_image")
    (line,) = [one for one in logged.messages if "--summarize_activations" in one]
    assert line == (
        "WARNING: --summarize_activations shows no layers. The module has no convolution."
    )
    tags = found(photos.parent, "activations", "flat").Tags()["tensors"]
    assert "activations" in tags
    assert len(tags) == 1 + len(COLOURS)


# In a browser


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    with started(*DRAWS_POINTS, "window-size=1400,1000") as driver:
        yield driver


# Calls `visit` for each element of a page, also in its frames and shadow roots.
WALK = """
const walk = (root, visit) => root.querySelectorAll('*').forEach(one => {
  visit(one);
  if (one.shadowRoot) walk(one.shadowRoot, visit);
  if (one.nodeName === 'IFRAME' && one.contentDocument) walk(one.contentDocument, visit);
});
"""
# All that can be read on a page.
TEXT = f"""{WALK}
const words = [];
walk(document, one => {{
  if (['STYLE', 'SCRIPT'].includes(one.nodeName) || !one.checkVisibility()) return;
  for (const part of one.childNodes) if (part.nodeType === Node.TEXT_NODE) words.push(part.data);
}});
return words.join(' ').replace(/\\s+/g, ' ');
"""
# How many of an element are seen on a page.
COUNT = f"""{WALK}
let count = 0;
walk(document, one => {{
  if (one.matches(arguments[0]) && one.checkVisibility()) count += 1;
}});
return count;
"""


@pytest.fixture(scope="module")
def opened(runs: Runs, browser: Chrome, server: str) -> Callable[..., None]:
    """Opens a page of TensorBoard, and waits until words and elements are there."""
    assert runs

    def answers(driver: Chrome) -> bool:
        driver.get(server)
        return "TensorBoard" in driver.title

    WebDriverWait(browser, 60, 0.2, ignored_exceptions=[WebDriverException]).until(answers)

    def open_page(page: str, words: tuple[str, ...], elements: dict[str, int]) -> None:
        browser.execute_script("location.hash = arguments[0]", page)

        def is_there(driver: Chrome) -> bool:
            text = driver.execute_script(TEXT)
            return all(one in text for one in words) and all(
                driver.execute_script(COUNT, one) >= count for one, count in elements.items()
            )

        WebDriverWait(browser, 30, 0.2).until(is_there, f"{page}: {browser.execute_script(TEXT)}")

    return open_page


PAGES = {
    "scalars": (
        ("accuracy", "cross_entropy", "outcome", "steps/logs/train"),
        {"vz-line-chart2": 2},
    ),
    "images": (("confusion_matrix", "wrong answers", "steps/logs/photos"), {"img": 4}),
    "pr_curves": ((f"classes/0 {EVIL}", "solved/logs/test"), {"vz-line-chart2": 2}),
    "projector": (("Points: 90", "Dimension: 8", "label"), {"canvas": 1}),
    "hparams": (("steps in", "solved in", "lbfgs", "gradient_descent", "outcome"), {}),
    "text": ((EVIL, MARKED, CHINESE, "precision"), {"table": 2}),
}


@pytest.mark.parametrize("page", PAGES)
def test_each_page_shows_what_it_is_for(
    opened: Callable[..., None], browser: Chrome, page: str
) -> None:
    opened(page, *PAGES[page])
    # What would be run if a label were taken for a tag.
    assert browser.execute_script(COUNT, "img[onerror]") == 0


def test_the_table_of_runs_has_the_figures_of_each(runs: Runs, server: str) -> None:
    asked = {
        "experimentName": "",
        "allowedStatuses": ["STATUS_SUCCESS"],
        "colParams": [{"metric": {"group": "", "tag": "outcome/test_accuracy"}}],
        "startIndex": 0,
        "sliceSize": 10,
    }
    request = urllib.request.Request(  # noqa: S310 - of the server above
        f"{server}/data/plugin/hparams/session_groups",
        json.dumps(asked).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as answer:  # noqa: S310 - likewise
        groups = json.load(answer)["sessionGroups"]
    figures = {
        group["name"].split(" in ")[0]: {
            one["name"]["tag"]: one["value"] for one in group["metricValues"]
        }
        for group in groups
    }
    for name, ended in runs[1].items():
        assert ended.judged.metrics
        expected = pytest.approx(ended.judged.metrics.accuracy)
        assert figures[name]["outcome/test_accuracy"] == expected
