"""docs/python.md: its code runs as it stands, one block after the other."""

import re
import subprocess
import sys
from pathlib import Path

from image_retraining.retraining.config import RetrainConfig

ROOT = Path(__file__).resolve().parents[2]
GUIDE = (ROOT / "docs/python.md").read_text()
BLOCKS = re.findall(r"(?ms)^```(\w*)\n(.*?)^```$", GUIDE)


def test_the_code_of_the_guide_runs_and_says_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "sample_images").symlink_to(ROOT / "sample_images")
    code = "\n".join(block for language, block in BLOCKS if language == "python")
    assert code.count("image_retraining.train(") == 2
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "HOME": str(tmp_path), "TF_CPP_MIN_LOG_LEVEL": "3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stdout.splitlines()
    # Figures may differ from machine to machine in their last digits; these lines may not.
    for shown in (block for language, block in BLOCKS if not language):
        assert shown.rstrip() in done.stdout
    assert sum("star_124.jpg star" in line for line in lines) == 1
    assert sum("/circle/" in line for line in lines) >= 40
    assert {path.name for path in tmp_path.iterdir()} >= {"runs", "saved", "shapes.tflite"}
    assert (tmp_path / "star_heatmap.png").read_bytes().startswith(b"\x89PNG")


def test_settings_that_the_guide_names_are_there() -> None:
    named = set(re.findall(r"`(\w+)=", GUIDE))
    assert len(named) > 4
    others = {"module", "unknown_threshold", "on_bad_image", "labels"}
    assert named - others <= set(RetrainConfig().settings)
