import csv
from pathlib import Path
from typing import Any

import pytest
from conftest import COLOURS, colour_statistics, draw_colours, encoded, save_module, solid

from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.story import run


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("ranking")
    draw_colours(folder / "photos")
    return {
        "image_dir": str(folder / "photos"),
        "tfhub_module": str(save_module(folder / "module", colour_statistics)),
        "bottleneck_dir": str(folder / "cache"),
        "optimizer": "lbfgs",
        "verify_images": 0,
    }


def test_a_run_ranks_photos_without_labels(
    settings: dict[str, Any], tmp_path: Path, logged: pytest.LogCaptureFixture
) -> None:
    new = tmp_path / "new"
    (new / "deep").mkdir(parents=True)
    for name, colour in COLOURS.items():
        for number in range(9):
            pixels = solid(colour, noise=9, seed=100 + number)
            (new / "deep" / f"{name}{number}.png").write_bytes(encoded(pixels))
    # Between two of the colours, and so hard to tell.
    for number in range(9):
        pixels = solid((115, 27, 125), noise=9, seed=200 + number)
        (new / f"odd{number}.png").write_bytes(encoded(pixels))
    (new / "broken.png").write_bytes(b"no photo")
    known = Path(settings["image_dir"]) / "red" / "red_04.png"
    (new / "known.png").write_bytes(known.read_bytes())
    config = RetrainConfig(
        **settings,
        output_dir=str(tmp_path / "out"),
        label_next=str(new),
        label_next_file="next.csv",
    )
    found = run(config, label_image="label_image").label_next
    assert found
    with (tmp_path / "out" / "next.csv").open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [one.path for one in found.candidates]
    names = [Path(row["path"]).name for row in rows]
    assert len(names) == len(set(names)) == 36
    assert found.labelled_count == 1
    assert names[0].startswith("odd")
    likely = {name: row["likely_label"] for name, row in zip(names, rows, strict=True)}
    for name in COLOURS:
        assert {likely[f"{name}{number}.png"] for number in range(9)} == {name}
    assert any("broken.png" in line for line in logged.messages)
    # They are cached as the others.
    logged.clear()
    again = tmp_path / "again"
    run(
        RetrainConfig(
            **settings, output_dir=str(again), label_next=str(new), label_next_file="next.csv"
        ),
        label_image="label_image",
    )
    (line,) = [line for line in logged.messages if line.startswith("Bottlenecks of 37 photos")]
    assert "37 photos: 0 computed" in line
    assert (again / "next.csv").read_bytes() == (tmp_path / "out" / "next.csv").read_bytes()


def test_without_the_flag_nothing_is_ranked(settings: dict[str, Any], tmp_path: Path) -> None:
    config = RetrainConfig(**settings, output_dir=str(tmp_path / "out"))
    assert run(config, label_image="label_image").label_next is None
