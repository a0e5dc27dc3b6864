"""README and docs: links lead somewhere, flags are there, commands can be given."""

import dataclasses
import re
import shlex
from pathlib import Path
from typing import Any

import flags_page
import pytest
from import_bottlenecks import ImportConfig

from image_retraining.labelling.config import LabelConfig
from image_retraining.retraining.config import RetrainConfig

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *ROOT.glob("[!.]*/README.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
CONFIGS: dict[str, type[Any]] = {
    "retrain.py": RetrainConfig,
    "retrain": RetrainConfig,
    "label_image.py": LabelConfig,
    "label-image": LabelConfig,
    "tools/import_bottlenecks.py": ImportConfig,
}
# Of other programs: TensorBoard, pip, docker, pytest, and TensorFlow's label_image for C++.
OTHERS = {
    *("logdir", "index-url", "no-index", "find-links", "no-deps", "only-binary", "platform"),
    *("python-version", "real-data", "dist", "image", "labels", "graph", "help", "extra-index-url"),
    *("rm", "rounds", "data-binary"),
    # Of Dask's commands.
    *("memory-limit", "nthreads", "port", "protocol"),
}


def flags_of(config: type[Any]) -> set[str]:
    names = {field.name for field in dataclasses.fields(config) if field.metadata}
    return names | {f"no{name}" for name in names} | {"help"}


def anchors(page: Path) -> set[str]:
    """Returns the names that GitHub gives to the headings of a page."""
    found = re.findall(r"(?m)^#+ (.+)$", re.sub(r"(?ms)^```.*?^```$", "", page.read_text()))
    kept = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in found)
    return {heading.replace(" ", "-") for heading in kept}


def commands(page: Path) -> list[list[str]]:
    """Returns the commands of this project in the blocks of a page, as lists of words."""
    blocks = re.findall(r"(?ms)^```\w*\n(.*?)^```$", page.read_text())
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    starts = tuple(CONFIGS)
    words = [
        shlex.split(line.removeprefix("$ ").removeprefix("python "), comments=True)
        for line in lines
        if line.removeprefix("$ ").removeprefix("python ").startswith(starts)
    ]
    return [line for line in words if line and line[0] in CONFIGS]


def test_the_front_page_is_one() -> None:
    assert len((ROOT / "README.md").read_bytes()) <= 8192


def test_the_pictures_are_small() -> None:
    pictures = list((ROOT / "docs").glob("*.png"))
    assert len(pictures) >= 2
    assert sum(picture.stat().st_size for picture in pictures) <= 300_000


def test_the_list_of_flags_is_fresh() -> None:
    stale = "run tools/flags_page.py"
    assert flags_page.PAGE.read_text(encoding="utf-8") == flags_page.page(), stale


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"(?ms)^```.*?^```$", "", page.read_text())
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        if anchor:
            assert anchor in anchors(file), target


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_flags_that_are_named_are_there(page: Path) -> None:
    known = set.union(*map(flags_of, CONFIGS.values())) | OTHERS
    named = re.findall(r"(?<![\w-])--([a-z][\w-]+)", page.read_text())
    assert set(named) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_can_be_given(page: Path) -> None:
    for script, *words in commands(page):
        config = CONFIGS[script]
        for word in words:
            if word.startswith("--"):
                assert word[2:].partition("=")[0] in flags_of(config), (script, word)


def test_there_are_commands_to_look_at() -> None:
    assert sum(len(commands(page)) for page in PAGES) > 30
    (deploy,) = (page for page in PAGES if page.name == "architecture.md")
    assert "the-way-of-the-data" in anchors(deploy)


@pytest.mark.parametrize(
    "name",
    [
        *("flags", "modules", "training", "quality", "photos", "cache", "deploy", "offline"),
        *("glossary", "architecture", "python"),
    ],
)
def test_the_front_page_leads_to_every_page(name: str) -> None:
    assert f"(docs/{name}.md)" in (ROOT / "README.md").read_text()
