"""What an installed package is: what it needs, which commands it gives, where its cache is."""

import importlib
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import image_retraining

ROOT = Path(__file__).resolve().parent.parent
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def pins(text: str) -> dict[str, str]:
    found = re.findall(r"(?m)^([\w.-]+)==(\S+)$", text)
    return {name.lower().replace("_", "-"): version for name, version in found}


def needed(requirements: list[str]) -> dict[str, Requirement]:
    return {Requirement(line).name: Requirement(line) for line in requirements}


def test_the_package_needs_what_the_scripts_need() -> None:
    text = (ROOT / "requirements.txt").read_text()
    own, brought_along = text.split("# What the packages above bring along")
    assert set(needed(PROJECT["dependencies"])) == set(pins(own))
    assert "protobuf" in pins(brought_along)


@pytest.mark.parametrize(
    ("requirements", "file"),
    [
        (PROJECT["dependencies"], "requirements.txt"),
        (PROJECT["optional-dependencies"]["distributed"], "requirements-distributed.txt"),
        (PROJECT["optional-dependencies"]["heic"], "requirements-heic.txt"),
        (PROJECT["optional-dependencies"]["onnx"], "requirements-onnx.txt"),
        (PROJECT["optional-dependencies"]["openvino"], "requirements-openvino.txt"),
    ],
    ids=["core", "distributed", "heic", "onnx", "openvino"],
)
def test_the_releases_that_are_checked_are_among_those_that_are_allowed(
    requirements: list[str], file: str
) -> None:
    pinned = pins((ROOT / file).read_text())
    for name, requirement in needed(requirements).items():
        assert requirement.specifier.contains(pinned[name]), name
        assert importlib.metadata.version(name) == pinned[name]


def test_what_the_code_imports_is_among_what_it_needs() -> None:
    providers = importlib.metadata.packages_distributions()
    names: set[str] = set()
    for path in (ROOT / "image_retraining").rglob("*.py"):
        lines = path.read_text().splitlines()
        found = (re.match(r"\s*(?:from|import) (\w+)", line) for line in lines)
        names |= {match[1] for match in found if match} & set(providers)
    distributions = {providers[name][0].lower().replace("_", "-") for name in names}
    extras = needed([line for extra in PROJECT["optional-dependencies"].values() for line in extra])
    # TensorFlow and Jinja2 bring these along, in the releases that they need themselves.
    brought_along = {"keras", "protobuf", "flatbuffers", "markupsafe"}
    assert distributions <= {*needed(PROJECT["dependencies"]), *extras, *brought_along}
    assert {"tensorflow", "pillow", "platformdirs"} <= distributions


@pytest.mark.parametrize("name", ["retrain", "label-image"])
def test_the_commands_are_there(name: str) -> None:
    module, _, function = PROJECT["scripts"][name].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_there_is_one_version() -> None:
    assert PROJECT["dynamic"] == ["version"]
    assert re.fullmatch(r"\d+\.\d+\.\d+", image_retraining.__version__)


def test_without_the_scripts_the_cache_is_in_the_user_s_folder(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "image_retraining", tmp_path / "image_retraining")
    code = "import image_retraining.retraining.config as c; print(c.RetrainConfig().bottleneck_dir)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"HOME": str(tmp_path / "home"), "PATH": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == f"{tmp_path}/home/.cache/image-retraining\n"
