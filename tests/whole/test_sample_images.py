import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PHOTOS = ROOT / "sample_images"


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.jpg")}


def test_the_sample_images_are_what_their_script_draws(tmp_path: Path) -> None:
    script = ROOT / "tools" / "draw_sample_images.py"
    subprocess.run([sys.executable, str(script), "--output_dir", str(tmp_path)], check=True)
    assert files(tmp_path) == files(PHOTOS)


def test_there_are_five_classes_of_forty_small_photos() -> None:
    counts = {folder.name: len(list(folder.iterdir())) for folder in PHOTOS.iterdir()}
    assert counts == dict.fromkeys(["circle", "cross", "square", "star", "triangle"], 40)
    assert sum(len(contents) for contents in files(PHOTOS).values()) <= 1_500_000
