"""What a person waits for who runs the scripts again: seconds, and how many imports of TensorFlow.

    python benchmarks/starts.py --image_dir flower_photos --tfhub_module MODULE

In each round, one after the other: `import tensorflow` in a Python of its own, a first and a second
run of retrain.py, without a report and with one, and label_image.py on one photo, each timed from
outside as by `time`. Printed are the medians over the rounds, how many medians of the import that
is, and the stages of the second runs. Seconds differ between machines and hours; ratios do less.
--photos takes so many of the photos, evenly over the classes.
"""

import argparse
import itertools
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

HOUSE = Path(__file__).resolve().parent.parent
IMPORT = "import tensorflow"
PLAIN = "without"
WAYS: dict[str, list[str]] = {PLAIN: ["--report_file="], "with": []}


def main() -> None:
    """Prints a line a command, and a line a stage."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--image_dir", required=True, type=Path)
    parser.add_argument("--tfhub_module", required=True)
    parser.add_argument("--photos", type=int, default=1000, help="of all classes; 0 for all photos")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    taken: dict[str, list[float]] = {}
    stages: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        photo = linked(arguments.image_dir, photos, arguments.photos)
        for number in range(arguments.rounds):
            round_folder = Path(folder, str(number))
            for name, command in commands(photos, photo, arguments.tfhub_module, round_folder):
                taken.setdefault(name, []).append(seconds_of(command))
            for stage, one in stages_of(round_folder / PLAIN):
                stages.setdefault(stage, []).append(one)
            print(f"round {number + 1} of {arguments.rounds}", flush=True)
    unit = statistics.median(taken[IMPORT])
    for name, seconds in taken.items():
        print(f"{name:32} {told(seconds)}  {statistics.median(seconds) / unit:5.2f} imports")
    print("stages of the second run without a report:")
    for name, seconds in stages.items():
        print(f"  {name:30} {told(seconds)}")


def linked(image_dir: Path, to: Path, count: int) -> Path:
    """Returns a photo of a folder that links to so many, evenly over the classes."""
    folders = sorted(folder for folder in image_dir.iterdir() if folder.is_dir())
    each = -(-count // len(folders)) if count else None
    for folder in folders:
        to.joinpath(folder.name).mkdir(parents=True)
        for photo in itertools.islice(sorted(folder.iterdir()), each):
            to.joinpath(folder.name, photo.name).symlink_to(photo.resolve())
    return next(to.glob("*/*"))


def commands(
    photos: Path, photo: Path, module: str, folder: Path
) -> Iterator[tuple[str, Sequence[str]]]:
    """Yields the commands of a round by name, in their order, for a folder that is new."""
    retrain = [
        str(HOUSE / "retrain.py"),
        f"--image_dir={photos}",
        f"--tfhub_module={module}",
        "--overwrite",
    ]
    label = [str(HOUSE / "label_image.py"), f"--graph={folder / PLAIN}", f"--image={photo}"]
    yield IMPORT, ["-c", IMPORT]
    for time_of_it, (way, flags) in itertools.product(("first", "second"), WAYS.items()):
        own = [f"--bottleneck_dir={folder / way / 'cache'}", f"--output_dir={folder / way}"]
        yield f"{time_of_it} run, {way} report", [*retrain, *own, *flags]
    yield "label_image.py on one photo", label


def seconds_of(command: Sequence[str]) -> float:
    """Returns how long a Python takes for a command, from its start to its end."""
    started = time.monotonic()
    done = subprocess.run(  # noqa: S603 - our own scripts
        [sys.executable, *command], capture_output=True, text=True, check=False
    )
    taken = time.monotonic() - started
    if done.returncode:
        sys.exit(f"{' '.join(command)}: {done.stderr}")
    return taken


def stages_of(output_dir: Path) -> Iterator[tuple[str, float]]:
    """Yields the stages of a run and their seconds, as its settings file has them."""
    seconds = json.loads(output_dir.joinpath("settings.json").read_text())["seconds"]
    yield from seconds.items()


def told(seconds: Sequence[float]) -> str:
    """Returns the median and the extremes in words."""
    low, high = min(seconds), max(seconds)
    return f"{statistics.median(seconds):6.2f} s ({low:.2f} to {high:.2f})"


if __name__ == "__main__":
    main()
