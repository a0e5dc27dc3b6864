"""Every setting of the two scripts: its name, default and meaning, and what must hold of it.

The scripts make one flag of each field marked with `_setting`; nothing else repeats a default.
"""

import math
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from image_retraining.errors import SettingError

DEFAULT_MODULE = "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5"
BUILTIN_MODULE = "builtin"
VERBOSITIES = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")

_BESIDE_THE_SCRIPTS = Path(__file__).resolve().parent.parent


def _setting(
    default: Any,
    meaning: str,
    *,
    group: str,
    choices: tuple[str, ...] | None = None,
    repeatable: bool = False,
) -> Any:
    """Returns a dataclass field that the scripts turn into a flag."""
    metadata = {"meaning": meaning, "group": group, "choices": choices, "repeatable": repeatable}
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """The settings of retrain.py.

    Attributes:
        named: the settings that the person gave, where others have their default.

    Raises:
        SettingError: a value is out of its range, or two contradict each other.
    """

    image_dir: str = _setting(
        "", "Folder of photos: one sub-folder a class, its name is the label.", group="Photos"
    )
    testing_percentage: int = _setting(
        10, "Share of photos, in percent, kept for the final test.", group="Photos"
    )
    validation_percentage: int = _setting(
        10, "Share of photos, in percent, watched during training.", group="Photos"
    )
    on_bad_image: str = _setting(
        "skip",
        "What to do with a photo that cannot be read: skip it and list it at the end, or fail.",
        group="Photos",
        choices=("skip", "fail"),
    )

    tfhub_module: str = _setting(
        DEFAULT_MODULE,
        "Module that turns photos into feature vectors: a TensorFlow Hub URL, a local folder, a "
        f".tar.gz file, or '{BUILTIN_MODULE}'. TF2 SavedModel or TF1 Hub format.",
        group="Module",
    )
    image_size: str = _setting(
        "",
        "Height and width in pixels, as 224 or 224x192, for a module that leaves them open.",
        group="Module",
    )
    bottleneck_dir: str = _setting(
        str(_BESIDE_THE_SCRIPTS / "bottleneck_cache"),
        "Folder that keeps the photos' feature vectors for the next run.",
        group="Module",
    )
    bottleneck_engine: str = _setting(
        "auto",
        "What computes feature vectors. auto is OpenVINO where it is installed, takes the module "
        "and there is no GPU, else TensorFlow.",
        group="Module",
        choices=("auto", "tensorflow", "openvino"),
    )
    bottleneck_precision: str = _setting(
        "float32",
        "Precision to compute them in. bfloat16 is faster and less exact, on processors that have "
        "it; the exported graph computes in float32 in any case.",
        group="Module",
        choices=("float32", "bfloat16"),
    )
    import_bottlenecks: str = _setting(
        "",
        "Folder of text bottlenecks, written by TensorFlow Hub's image_retraining example for this "
        "--image_dir and --tfhub_module, to take in.",
        group="Module",
    )
    tfhub_cache_dir: str = _setting(
        "", "Folder that tensorflow_hub keeps downloaded modules in.", group="Module"
    )
    tfhub_model_load_format: str = _setting(
        "AUTO",
        "How tensorflow_hub reads a module's URL: as an archive (COMPRESSED, AUTO) or straight "
        "from its storage bucket (UNCOMPRESSED).",
        group="Module",
        choices=("COMPRESSED", "UNCOMPRESSED", "AUTO"),
    )

    how_many_training_steps: int = _setting(4000, "Training steps.", group="Training")
    learning_rate: float = _setting(0.01, "Step size of gradient descent.", group="Training")
    train_batch_size: int = _setting(
        100, "Photos a training step, drawn evenly over the classes.", group="Training"
    )
    eval_step_interval: int = _setting(
        10, "Evaluate every that many steps, and at the last one.", group="Training"
    )
    validation_batch_size: int = _setting(
        100, "Photos an evaluation; -1 is the whole validation set.", group="Training"
    )
    test_batch_size: int = _setting(
        -1, "Photos in the final test; -1 is the whole test set.", group="Training"
    )
    seed: int = _setting(0, "Start of every random draw; equal runs are equal.", group="Training")
    checkpoint_path: str = _setting(
        "/tmp/_retrain_checkpoint",  # noqa: S108 - the path that existing scripts know
        "File that keeps the state of the training.",
        group="Training",
    )
    resume: bool = _setting(
        default=False,
        meaning="Go on from --checkpoint_path where an interrupted run with equal inputs stopped.",
        group="Training",
    )

    flip_left_right: bool = _setting(
        default=False, meaning="Mirror half of the training photos.", group="Distortions"
    )
    random_crop: int = _setting(
        0, "Margin, in percent, to crop from at random.", group="Distortions"
    )
    random_scale: int = _setting(
        0, "How much, in percent, to enlarge by at random.", group="Distortions"
    )
    random_brightness: int = _setting(
        0, "How much, in percent, to brighten or darken at random.", group="Distortions"
    )

    output_graph: str = _setting(
        "/tmp/output_graph.pb",  # noqa: S108 - the path that existing scripts know
        "Frozen graph to write.",
        group="Results",
    )
    output_labels: str = _setting(
        "/tmp/output_labels.txt",  # noqa: S108 - the path that existing scripts know
        "Labels file to write: one label a line, in the order of the graph's outputs.",
        group="Results",
    )
    final_tensor_name: str = _setting(
        "final_result", "Name of the softmax node in the graph.", group="Results"
    )
    saved_model_dir: str = _setting(
        "", "Folder to write a SavedModel to; it must be new or empty.", group="Results"
    )
    verify_images: int = _setting(
        200,
        "Test photos that the written graph must answer as the training did; 0 skips this.",
        group="Results",
    )
    print_misclassified_test_images: bool = _setting(
        default=False, meaning="List the test photos that the head got wrong.", group="Results"
    )
    intermediate_output_graphs_dir: str = _setting(
        "/tmp/intermediate_graph/",  # noqa: S108 - the path that existing scripts know
        "Folder for intermediate graphs.",
        group="Results",
    )
    intermediate_store_frequency: int = _setting(
        0, "Write an intermediate graph every that many steps; 0 is never.", group="Results"
    )
    summaries_dir: str = _setting(
        "/tmp/retrain_logs",  # noqa: S108 - the path that existing scripts know
        "Folder for TensorBoard logs.",
        group="Results",
    )
    logging_verbosity: str = _setting(
        "INFO", "Least severe messages to show.", group="Results", choices=VERBOSITIES
    )

    cache_info: bool = _setting(
        default=False,
        meaning="Tell what --bottleneck_dir holds, and do nothing else.",
        group="Care of the cache",
    )
    cache_prune: int = _setting(
        -1,
        "Delete the feature vectors in --bottleneck_dir that were not used in so many days, give "
        "their space back, and do nothing else; -1 does not.",
        group="Care of the cache",
    )

    named: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_split(self)
        _check_at_least(self, 1, "how_many_training_steps", "train_batch_size")
        _check_at_least(self, 1, "eval_step_interval")
        _check_at_least(self, 0, "random_crop", "random_scale", "random_brightness")
        _check_at_least(self, 0, "intermediate_store_frequency", "verify_images", "seed")
        for name in ("validation_batch_size", "test_batch_size"):
            _require(
                getattr(self, name) >= 1 or getattr(self, name) == -1,
                f"--{name} must be at least 1, or -1 for the whole set",
                getattr(self, name),
            )
        _require(self.seed < 2**63, "--seed must be below 2 to the power of 63", self.seed)
        _require(
            0 < self.learning_rate < float("inf"),
            "--learning_rate must be a number above 0",
            self.learning_rate,
        )
        _require(
            self.random_brightness <= 100,
            "--random_brightness must be from 0 to 100",
            self.random_brightness,
        )
        _require(
            re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*", self.final_tensor_name) is not None,
            "--final_tensor_name must be letters, digits, '_', '.' and '-', not starting with "
            "'_' or '-'",
            self.final_tensor_name,
        )
        _image_size(self.image_size)
        _require(bool(self.bottleneck_dir), "--bottleneck_dir must name a folder", "an empty name")
        _require(self.cache_prune >= -1, "--cache_prune must be days, at least 0", self.cache_prune)

    @property
    def open_image_size(self) -> tuple[int, int] | None:
        """Height and width from --image_size, or None when it is not given."""
        return _image_size(self.image_size)

    @property
    def distorts(self) -> bool:
        """Whether training photos are to be distorted."""
        return bool(
            self.flip_left_right or self.random_crop or self.random_scale or self.random_brightness
        )

    def check_outputs(self) -> None:
        """Checks that every output can be written, so that a long run does not end in vain.

        Raises:
            SettingError: a folder is missing and cannot be made, or a path is of the wrong kind.
        """
        files = ("output_graph", "output_labels", "checkpoint_path")
        for name in files:
            _check_writable_file(name, getattr(self, name))
        _require(
            len({os.path.abspath(getattr(self, name)) for name in files}) == len(files),
            "--output_graph, --output_labels and --checkpoint_path must be different files",
            ", ".join(getattr(self, name) for name in files),
        )
        _check_writable_folder("summaries_dir", self.summaries_dir)
        for run in ("train", "validation"):
            _check_writable_folder("summaries_dir", os.path.join(self.summaries_dir, run))
        if self.intermediate_store_frequency:
            name = "intermediate_output_graphs_dir"
            _check_writable_folder(name, self.intermediate_output_graphs_dir)
        if self.saved_model_dir:
            _check_writable_folder("saved_model_dir", self.saved_model_dir)
            _require(
                not any(Path(self.saved_model_dir).iterdir()),
                "--saved_model_dir must be a new or an empty folder",
                self.saved_model_dir,
            )


@dataclass(frozen=True, kw_only=True)
class LabelConfig:
    """The settings of label_image.py.

    Raises:
        SettingError: a value is out of its range, or no photo is named.
    """

    image: tuple[str, ...] = _setting(
        (),
        "Photo, or folder of photos, to label; may be given several times, or without the flag.",
        group="Photos",
        repeatable=True,
    )
    graph: str = _setting(
        "/tmp/output_graph.pb",  # noqa: S108 - the path that existing scripts know
        "Frozen graph to label with.",
        group="Graph",
    )
    labels: str = _setting(
        "/tmp/output_labels.txt",  # noqa: S108 - the path that existing scripts know
        "Its labels file, one label a line.",
        group="Graph",
    )
    input_layer: str = _setting(
        "", "Name of the node that takes the photo; found in the graph if empty.", group="Graph"
    )
    output_layer: str = _setting(
        "", "Name of the node that gives the scores; found in the graph if empty.", group="Graph"
    )
    input_height: int = _setting(
        0, "Height in pixels, for a graph that leaves it open; 0 reads it there.", group="Graph"
    )
    input_width: int = _setting(
        0, "Width in pixels, for a graph that leaves it open; 0 reads it there.", group="Graph"
    )
    input_mean: float = _setting(
        0.0, "A pixel p of 0 to 255 goes in as (p - input_mean) / input_std.", group="Graph"
    )
    input_std: float = _setting(255.0, "See --input_mean.", group="Graph")

    named: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_at_least(self, 0, "input_height", "input_width")
        _require(math.isfinite(self.input_mean), "--input_mean must be finite", self.input_mean)
        _require(
            math.isfinite(self.input_std) and self.input_std != 0,
            "--input_std must be finite and not 0",
            self.input_std,
        )
        _require(
            bool(self.image) and all(self.image),
            "--image must name a photo or a folder of photos, as in --image=rose.jpg",
            "nothing" if not self.image else "an empty name",
        )


def _require(holds: bool, rule: str, got: object) -> None:  # noqa: FBT001 - reads as a sentence
    """Raises SettingError with the rule and what came, unless the rule holds."""
    if not holds:
        raise SettingError(f"{rule}. Got {got}.")


def _check_at_least(config: RetrainConfig | LabelConfig, least: int, *names: str) -> None:
    for name in names:
        value = getattr(config, name)
        _require(value >= least, f"--{name} must be at least {least}", value)


def _check_split(config: RetrainConfig) -> None:
    for name in ("testing_percentage", "validation_percentage"):
        value = getattr(config, name)
        _require(0 <= value <= 100, f"--{name} must be from 0 to 100", value)
    both = config.testing_percentage + config.validation_percentage
    _require(
        both < 100,
        "--testing_percentage and --validation_percentage must leave photos for training: their "
        "sum must be below 100",
        f"{config.testing_percentage} + {config.validation_percentage} = {both}",
    )


def _image_size(text: str) -> tuple[int, int] | None:
    """Returns (height, width) from '224' or '224x192', None from ''."""
    if not text:
        return None
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    size = (int(match[1]), int(match[2] or match[1])) if match else (0, 0)
    _require(min(size) > 0, "--image_size must be pixels, as 224 or 224x192 (height x width)", text)
    return size


def _check_writable_file(name: str, path: str) -> None:
    _require(bool(path), f"--{name} must name a file", "an empty name")
    _require(not os.path.isdir(path), f"--{name} must name a file", f"{path}, which is a folder")
    # Not the folder that a link leads to: the file will be replaced where it is named.
    folder = os.path.dirname(os.path.abspath(path))
    _check_writable_folder(name, folder)
    # In a folder like /tmp nobody may replace a file of somebody else.
    if os.path.lexists(path) and os.stat(folder).st_mode & stat.S_ISVTX:
        owners = {os.lstat(path).st_uid, os.stat(folder).st_uid}
        _require(
            os.geteuid() in {0, *owners},
            f"--{name} must be a file that you may replace",
            f"{path}, which belongs to another user",
        )


def _check_writable_folder(name: str, path: str) -> None:
    """Makes the folder when it is missing, for what cannot be made cannot be written to either."""
    _require(bool(path), f"--{name} must name a folder", "an empty name")
    try:
        Path(path).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SettingError(
            f"--{name} must lie in a folder that can be made and written to. "
            f"Got {path}: {error.strerror}."
        ) from error
    _require(
        os.access(path, os.R_OK | os.W_OK | os.X_OK),
        f"--{name} must lie in a folder that you may read and write to",
        path,
    )
