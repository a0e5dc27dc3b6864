"""Every setting of label_image.py: its name, default and meaning, and what must hold of it."""

import math
import os
from dataclasses import dataclass
from typing import ClassVar

from image_retraining.exports.run_folder import graph_in
from image_retraining.foundation.errors import GraphError
from image_retraining.foundation.places import foreign
from image_retraining.foundation.settings import check_at_least, check_kinds, require, setting
from image_retraining.foundation.text import shown
from image_retraining.labelling.answers import FORMATS
from image_retraining.photos.preparation import EXIF_CHOICES

AUTO = "auto"


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """The settings of label_image.py.

    Attributes:
        named: the settings that the person gave, where others have their default.
        COMMON: those that most people need, which the help lists first.

    Raises:
        SettingError: a value is out of its range.
    """

    COMMON: ClassVar[tuple[str, ...]] = ("image", "graph", "labels", "top_k", "output")

    image: tuple[str, ...] = setting(
        (),
        "Photo, or folder of photos, to label; may be given several times, or without the flag. "
        "- reads names from standard input, a name a line.",
        group="Photos",
        repeatable=True,
    )
    graph: str = setting(
        "/tmp/output_graph.pb",  # noqa: S108 - the path that existing scripts know
        "Frozen graph, TensorFlow Lite or ONNX file, folder of a SavedModel, or --output_dir of a "
        "run, to label with.",
        group="Graph",
    )
    labels: str = setting(
        "/tmp/output_labels.txt",  # noqa: S108 - the path that existing scripts know
        "Its labels file, one label a line; read from what comes with the graph if there is that.",
        group="Graph",
    )
    input_layer: str = setting(
        "", "Name of the node that takes the photo; found in the graph if empty.", group="Graph"
    )
    output_layer: str = setting(
        "", "Name of the node that gives the scores; found in the graph if empty.", group="Graph"
    )
    input_height: int = setting(
        0, "Height in pixels, for a graph that leaves it open; 0 reads it there.", group="Graph"
    )
    input_width: int = setting(
        0, "Width in pixels, for a graph that leaves it open; 0 reads it there.", group="Graph"
    )
    input_mean: float = setting(
        0.0,
        "A pixel p of 0 to 255 goes in as (p - input_mean) / input_std. What a graph says of "
        "itself, as TensorFlow Lite files do, holds unless this is given.",
        group="Graph",
    )
    input_std: float = setting(255.0, "See --input_mean.", group="Graph")

    exif_orientation: str = setting(
        "",
        "Whether photos that the camera held turned are turned upright, as their EXIF data says: "
        "apply or ignore; empty does as the training of the graph did, and applies where nobody "
        "knows.",
        group="Photos",
    )

    top_k: int = setting(5, "How many labels to tell of each photo.", group="Answers")
    format: str = setting(
        "text",
        "How to tell them: text, or for programs json (an object a line) or csv (a row), one for "
        "each photo, errors among them.",
        group="Answers",
        choices=FORMATS,
    )
    output: str = setting(
        "",
        "File to write the answers to, instead of the screen. Until all are there it is called "
        "FILE.partial, which stays where labelling ends early.",
        group="Answers",
    )
    unknown_threshold: str = setting(
        "",
        "Answer 'unknown' when the best score is below this probability; auto takes the rule that "
        "the training fitted: unsure, or unlike the training photos; 95% of the right answers to "
        "its validation photos stay.",
        group="Answers",
    )

    heatmap_dir: str = setting(
        "",
        "Folder for a picture of each photo, and of where the evidence for its best label is.",
        group="Answers",
    )

    report: str = setting(
        "",
        "File for a page that shows the photos by their labels, the least sure first, for a "
        "browser.",
        group="Answers",
    )
    report_heatmaps: bool = setting(
        default=False,
        meaning="Show where the evidence is beside each photo of --report, as with --heatmap_dir.",
        group="Answers",
    )

    named: frozenset[str] = frozenset()

    @property
    def draws_evidence(self) -> bool:
        """Whether the report shows where the evidence is."""
        return bool(self.report) and (self.report_heatmaps or bool(self.heatmap_dir))

    def __post_init__(self) -> None:
        check_kinds(self)
        check_at_least(self, 0, "input_height", "input_width")
        check_at_least(self, 1, "top_k")
        require(
            self.exif_orientation in ("", *EXIF_CHOICES),
            f"--exif_orientation must be one of {', '.join(EXIF_CHOICES)}",
            self.exif_orientation,
        )
        if self.unknown_threshold not in ("", AUTO):
            require(
                0 <= _number(self.unknown_threshold) <= 1,
                f"--unknown_threshold must be a probability from 0 to 1, or {AUTO}",
                self.unknown_threshold,
            )
        require(
            bool(self.report) or not self.report_heatmaps,
            "--report_heatmaps needs a page to show them: --report",
            "none",
        )
        require(math.isfinite(self.input_mean), "--input_mean must be finite", self.input_mean)
        require(
            math.isfinite(self.input_std) and self.input_std != 0,
            "--input_std must be finite and not 0",
            self.input_std,
        )


def check_photos(config: LabelConfig) -> None:
    """Raises SettingError unless photos are named."""
    require(
        bool(config.image) and all(config.image),
        "--image must name a photo or a folder of photos, as in --image=rose.jpg",
        "nothing" if not config.image else "an empty name",
    )


def check_files(config: LabelConfig) -> None:
    """Checks that the classifier is there, and its labels file if one is named.

    Raises:
        GraphError: one is not, or it is the folder of a run that is not finished, or another user
            has put it in the usual place.
    """
    _check_there(
        "graph",
        "the folder of a run, a frozen graph, a TensorFlow Lite or an ONNX file, or the folder "
        "of a SavedModel",
        config.graph,
    )
    # Who names a graph knows whose it is; in /tmp anybody can be first, and a graph is a program.
    others = "" if "graph" in config.named else next(foreign(config.graph), "")
    if others:
        raise GraphError(
            "--graph must be named if it belongs to another user, for a graph is a program. Got "
            f"none, and {shown(others)}, which does."
        )
    graph_in(config.graph)
    if "labels" in config.named:
        _check_there("labels", "a labels file, one label a line", config.labels)


def _check_there(name: str, rule: str, path: str) -> None:
    if not os.path.exists(path):
        got = f"{shown(path)}, which does not exist" if path else "an empty name"
        raise GraphError(f"--{name} must be {rule}. Got {got}.")


def _number(text: str) -> float:
    """Returns the number that a text is, one that no rule allows if it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")
