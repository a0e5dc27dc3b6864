"""What must hold of the settings of retrain.py, one by one and together."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from image_retraining.backbone.handles import BUILTIN_MODULE, OFFLINE_MODULE
from image_retraining.backbone.keras_names import AVERAGE, is_keras
from image_retraining.foundation.settings import (
    check_at_least,
    check_kinds,
    image_size,
    require,
)
from image_retraining.photos.split_settings import check_split
from image_retraining.reports.comparison_file import check_comparison_file
from image_retraining.reports.comparison_plot import check_plot_file
from image_retraining.reports.metrics_file import check_metrics_file
from image_retraining.retraining.machines import check_machines

if TYPE_CHECKING:
    from image_retraining.retraining.config import RetrainConfig


# Distortions of which more makes no sense, in percent and degrees.
_MOST = {
    "random_brightness": 100,
    "random_rotation": 180,
    "random_shift": 100,
    "random_shear": 60,
    "random_contrast": 100,
    "random_saturation": 100,
}
# More than any head of so few photos is good for.
_MOST_HIDDEN_UNITS = 16_384


def check(config: RetrainConfig) -> None:
    """Checks all settings.

    Raises:
        SettingError: a value is out of its range, or two contradict each other.
    """
    check_kinds(config)
    check_split(**config.splitting)
    check_at_least(config, 1, "how_many_training_steps", "train_batch_size")
    check_at_least(config, 1, "eval_step_interval")
    check_at_least(config, 0, "early_stopping_patience")
    check_at_least(config, 0, "random_crop", "random_scale")
    check_at_least(config, 0, "intermediate_store_frequency", "verify_images", "seed")
    for name in ("validation_batch_size", "test_batch_size"):
        require(
            getattr(config, name) >= 1 or getattr(config, name) == -1,
            f"--{name} must be at least 1, or -1 for the whole set",
            getattr(config, name),
        )
    require(config.seed < 2**63, "--seed must be below 2 to the power of 63", config.seed)
    require(
        0 < config.learning_rate < float("inf"),
        "--learning_rate must be a number above 0",
        config.learning_rate,
    )
    for name, most in _MOST.items():
        value = getattr(config, name)
        require(0 <= value <= most, f"--{name} must be from 0 to {most}", value)
    _check_training(config)
    _check_fine_tuning(config)
    _check_judging(config)
    require(
        re.fullmatch(r"[A-Za-z0-9.][A-Za-z0-9_.\-]*", config.final_tensor_name) is not None,
        "--final_tensor_name must be letters, digits, '_', '.' and '-', not starting with "
        "'_' or '-'",
        config.final_tensor_name,
    )
    _check_module(config)
    check_machines(config)
    require(bool(config.bottleneck_dir), "--bottleneck_dir must name a folder", "an empty name")
    require(config.cache_prune >= -1, "--cache_prune must be days, at least 0", config.cache_prune)


def _check_module(config: RetrainConfig) -> None:
    image_size(config.image_size)
    modules = config.modules_to_compare or (config.tfhub_module,)
    for name, usual in (("pooling", AVERAGE), ("feature_layer", "")):
        require(
            getattr(config, name) == usual or any(map(is_keras, modules)),
            f"--{name} is for networks and models of Keras",
            ", ".join(modules),
        )
    _check_comparison(config)


def _check_comparison(config: RetrainConfig) -> None:
    names = config.modules_to_compare
    for name in ("compare_only", "compare_file", "compare_plot_file"):
        require(
            bool(names) or not getattr(config, name),
            f"--{name} needs the modules to compare, in --compare_modules",
            "none",
        )
    if config.compare_file:
        check_comparison_file(config.compare_file)
    if config.compare_plot_file:
        check_plot_file(config.compare_plot_file)
    if not config.compare_modules:
        return
    same = {_one_name(name) for name in names}
    require(
        len(names) >= 2 and len(same) == len(names),
        "--compare_modules must name at least 2 modules, each of them once",
        config.compare_modules,
    )
    require(
        not (config.compare_only and config.of_a_training),
        "--compare_only trains on no module, and writes nothing of a training",
        ", ".join(f"--{name}" for name in config.of_a_training),
    )
    require(
        "tfhub_module" not in config.named,
        "--compare_modules chooses the module itself, and cannot be given with --tfhub_module",
        "both",
    )


def _one_name(module: str) -> str:
    """Returns the name of a module that may have several."""
    if module == BUILTIN_MODULE:
        return OFFLINE_MODULE
    return module if "://" in module else os.path.normpath(module)


def _check_judging(config: RetrainConfig) -> None:
    for name in ("duplicate_cosine", "label_issues_below"):
        value = getattr(config, name)
        require(0 < value <= 1, f"--{name} must be above 0 and at most 1", value)
    require(
        config.cross_validate >= 2 or config.cross_validate in (-1, 0),
        "--cross_validate must be at least 2 folds, 0 where figures would be chance without, or "
        "-1 for never",
        config.cross_validate,
    )
    require(
        bool(config.label_next) == bool(config.label_next_file),
        "--label_next, a folder of photos without labels, and --label_next_file, the CSV file to "
        "list them in, must be given together",
        f"--label_next={config.label_next} and --label_next_file={config.label_next_file}",
    )
    if config.metrics_file:
        check_metrics_file(config.metrics_file)


def _check_fine_tuning(config: RetrainConfig) -> None:
    check_at_least(config, 1, "fine_tune_epochs", "fine_tune_batch_size")
    check_at_least(config, 0, "fine_tune_patience")
    for name in ("fine_tune_learning_rate", "fine_tune_max_gb"):
        value = getattr(config, name)
        require(0 < value < float("inf"), f"--{name} must be a number above 0", value)
    for name in sorted(config.named):
        require(
            bool(config.fine_tune) or not name.startswith("fine_tune_"),
            f"--{name} is for --fine_tune, as --fine_tune=auto",
            "no --fine_tune",
        )
    decay = config.fine_tune_weight_decay
    require(0 <= decay <= 1, "--fine_tune_weight_decay must be from 0 to 1", decay)


def _check_layers(config: RetrainConfig) -> None:
    require(
        0 <= config.hidden_units <= _MOST_HIDDEN_UNITS,
        f"--hidden_units must be from 0 to {_MOST_HIDDEN_UNITS}",
        config.hidden_units,
    )
    require(0 <= config.dropout < 1, "--dropout must be from 0 to below 1", config.dropout)
    require(
        not config.batch_normalization or config.train_batch_size >= 2,
        "--train_batch_size must be at least 2 with --batch_normalization, which standardises over "
        "a batch",
        config.train_batch_size,
    )
    for name in ("hidden_units", "dropout", "batch_normalization"):
        require(
            config.optimizer != "lbfgs" or not getattr(config, name),
            f"--{name} needs --optimizer=adam or gradient_descent: lbfgs solves for the softmax "
            "layer alone",
            "--optimizer=lbfgs",
        )


def _check_training(config: RetrainConfig) -> None:
    require(
        0 <= config.max_accuracy_drop <= 100,
        "--max_accuracy_drop must be from 0 to 100 points",
        config.max_accuracy_drop,
    )
    require(
        0 <= config.label_smoothing < 1,
        "--label_smoothing must be from 0 to below 1",
        config.label_smoothing,
    )
    require(
        config.l2 == -1 or 0 <= config.l2 < float("inf"),
        "--l2 must be a number from 0 up, or -1",
        config.l2,
    )
    require(
        config.distortion_views >= (1 if config.distorts else 0),
        "--distortion_views must be at least 1 when photos are to be distorted; for many, give "
        "--distortion_views=50",
        config.distortion_views,
    )
    require(bool(config.class_weight), "--class_weight must not be empty", "an empty name")
    _check_layers(config)
    if config.optimizer != "lbfgs":
        return
    require(
        config.l2 != 0,
        "--l2 must be above 0 with --optimizer=lbfgs, or there may be no best head",
        config.l2,
    )
    require(
        config.export == "best" or config.l2 != -1,
        "--export must be best with --optimizer=lbfgs, unless --l2 is given: the last head is the "
        "least regularised that was tried",
        config.export,
    )
