"""The scripts where something is missing that they need, each in a Python of its own."""

import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bare_python(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Python without any package, as a person has who has not activated the environment."""
    folder = tmp_path_factory.mktemp("bare")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    return folder / "bin/python"


@pytest.mark.parametrize("script", ["retrain.py", "label_image.py"])
@pytest.mark.parametrize("arguments", [["--help"], ["--image_dir=photos"]])
def test_a_missing_package_is_told_in_one_line(
    bare_python: Path, script: str, arguments: list[str]
) -> None:
    # Once: a traceback that ends in "No module named 'absl'".
    process = subprocess.run(
        [bare_python, REPOSITORY / script, *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr.startswith("ERROR: The package absl is needed. Got ")
    assert str(bare_python) in process.stderr
    assert "source .venv/bin/activate" in process.stderr
    assert "pip install -r requirements.txt" in process.stderr
    assert process.stderr.count("\n") == 1


@pytest.mark.parametrize("script", ["retrain.py", "label_image.py"])
def test_an_old_python_is_told_in_one_line(script: str) -> None:
    code = (
        "import runpy, sys; sys.version_info = (3, 10, 2, 'final', 0); "
        f"runpy.run_path({str(REPOSITORY / script)!r}, run_name='__main__')"
    )
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert process.returncode == 2
    assert "Python 3.11 or newer is needed. Got 3.10, in " in process.stderr
    assert process.stderr.count("\n") == 1


def test_a_module_of_ours_that_is_missing_is_a_defect() -> None:
    code = """
from image_retraining.foundation.door import needing_packages
with needing_packages():
    import image_retraining.foundation.nothing
"""
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert process.returncode == 1
    assert "Traceback" in process.stderr


@pytest.mark.parametrize("script", ["retrain.py", "label_image.py"])
@pytest.mark.parametrize("imported", ["absl", "psutil"])
def test_ctrl_c_before_the_script_has_begun_is_told_in_one_line(script: str, imported: str) -> None:
    # Once: a KeyboardInterrupt with the traceback of an import.
    code = f"""
import os, runpy, signal, sys
class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name == {imported!r}:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder)
sys.argv = [{script!r}, "--image_dir=nowhere"]
runpy.run_path({script!r}, run_name="__main__")
"""
    process = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )
    assert (process.returncode, process.stderr) == (130, "ERROR: Interrupted.\n")
