import dataclasses
import sys
from pathlib import Path
from typing import Any

import pytest

from image_retraining.backbone.handles import DEFAULT_MODULE
from image_retraining.foundation.errors import ClusterError, SettingError
from image_retraining.foundation.text import shown
from image_retraining.labelling.config import LabelConfig, check_photos
from image_retraining.photos.distortions import SETS
from image_retraining.retraining.config import VERBOSITIES, RetrainConfig

REPOSITORY = Path(__file__).resolve().parents[2]

# The table of defaults that people's scripts rely on.
RETRAIN_DEFAULTS = {
    "image_dir": "",
    "output_graph": "/tmp/output_graph.pb",  # noqa: S108
    "output_labels": "/tmp/output_labels.txt",  # noqa: S108
    "summaries_dir": "/tmp/retrain_logs",  # noqa: S108
    "intermediate_output_graphs_dir": "/tmp/intermediate_graph/",  # noqa: S108
    "intermediate_store_frequency": 0,
    "how_many_training_steps": 4000,
    "learning_rate": 0.01,
    "testing_percentage": 10,
    "validation_percentage": 10,
    "eval_step_interval": 10,
    "train_batch_size": 100,
    "validation_batch_size": 100,
    "test_batch_size": -1,
    "print_misclassified_test_images": False,
    "bottleneck_dir": str(REPOSITORY / "bottleneck_cache"),
    "final_tensor_name": "final_result",
    "flip_left_right": False,
    "random_crop": 0,
    "random_scale": 0,
    "random_brightness": 0,
    "tfhub_module": "https://tfhub.dev/google/imagenet/inception_v3/feature_vector/5",
    "saved_model_dir": "",
    "logging_verbosity": "INFO",
    "checkpoint_path": "/tmp/_retrain_checkpoint",  # noqa: S108
}
LABEL_DEFAULTS = {
    "graph": "/tmp/output_graph.pb",  # noqa: S108
    "labels": "/tmp/output_labels.txt",  # noqa: S108
    "image": (),
    "input_layer": "",
    "output_layer": "",
    "input_height": 0,
    "input_width": 0,
    "input_mean": 0.0,
    "input_std": 255.0,
}


def settings_of(config_class: type[Any]) -> dict[str, Any]:
    return {field.name: field for field in dataclasses.fields(config_class) if field.metadata}


@pytest.mark.parametrize(("name", "default"), RETRAIN_DEFAULTS.items())
def test_retrain_has_the_flags_that_people_rely_on(name: str, default: object) -> None:
    setting = settings_of(RetrainConfig)[name]
    assert setting.default == default
    assert type(setting.default) is type(default)


@pytest.mark.parametrize(("name", "default"), LABEL_DEFAULTS.items())
def test_label_image_has_the_flags_that_people_rely_on(name: str, default: object) -> None:
    setting = settings_of(LabelConfig)[name]
    assert setting.default == default
    assert type(setting.default) is type(default)


@pytest.mark.parametrize("config_class", [RetrainConfig, LabelConfig])
def test_every_setting_says_what_it_means(config_class: type[Any]) -> None:
    for setting in settings_of(config_class).values():
        assert setting.metadata["meaning"].endswith(".")
        assert setting.metadata["group"]


def test_verbosity_can_be_what_it_could_be() -> None:
    assert VERBOSITIES == ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")
    assert settings_of(RetrainConfig)["logging_verbosity"].metadata["choices"] == VERBOSITIES


@pytest.mark.parametrize("split", ["auto", "names", "stratified"])
def test_percentages_go_with_each_other_way_to_split(split: str) -> None:
    named = frozenset({"split", "testing_percentage"})
    config = RetrainConfig(split=split, testing_percentage=20, named=named)
    assert config.splitting == {
        "split": split,
        "validation_percentage": 10,
        "testing_percentage": 20,
        "named": named,
    }


def test_defaults_can_be_used() -> None:
    config = RetrainConfig()
    assert config.named == frozenset()
    assert config.open_image_size is None
    assert not config.distorts
    assert LabelConfig(image=("rose.jpg",)).input_mean == 0


@pytest.mark.parametrize(
    ("changes", "rule", "got"),
    [
        ({"testing_percentage": -1}, "--testing_percentage must be from 0 to 100", "-1"),
        ({"testing_percentage": 101}, "--testing_percentage must be from 0 to 100", "101"),
        ({"validation_percentage": -1}, "--validation_percentage must be from 0 to 100", "-1"),
        ({"validation_percentage": 101}, "--validation_percentage must be from 0 to 100", "101"),
        (
            {"validation_percentage": 50, "testing_percentage": 50},
            "--testing_percentage and --validation_percentage must leave photos for training",
            "50 + 50 = 100",
        ),
        ({"validation_percentage": 90}, "sum must be below 100", "10 + 90 = 100"),
        ({"split": "folder"}, "--split must be one of auto, folders, names, stratified", "folder"),
        (
            {"split": "folders", "testing_percentage": 10, "named": {"testing_percentage"}},
            "--testing_percentage cannot be given with --split=folders",
            "--testing_percentage=10",
        ),
        (
            {"split": "folders", "named": {"split", "validation_percentage"}},
            "--validation_percentage cannot be given with --split=folders",
            "--validation_percentage=10",
        ),
        ({"how_many_training_steps": 0}, "--how_many_training_steps must be at least 1", "0"),
        ({"train_batch_size": 0}, "--train_batch_size must be at least 1", "0"),
        ({"train_batch_size": -1}, "--train_batch_size must be at least 1", "-1"),
        ({"eval_step_interval": 0}, "--eval_step_interval must be at least 1", "0"),
        ({"validation_batch_size": 0}, "--validation_batch_size must be at least 1, or -1", "0"),
        ({"validation_batch_size": -2}, "--validation_batch_size must be at least 1, or -1", "-2"),
        ({"test_batch_size": 0}, "--test_batch_size must be at least 1, or -1", "0"),
        ({"test_batch_size": -2}, "--test_batch_size must be at least 1, or -1", "-2"),
        ({"random_crop": -1}, "--random_crop must be at least 0", "-1"),
        ({"random_scale": -5}, "--random_scale must be at least 0", "-5"),
        ({"random_brightness": -1}, "--random_brightness must be from 0 to 100", "-1"),
        ({"random_brightness": 101}, "--random_brightness must be from 0 to 100", "101"),
        (
            {"intermediate_store_frequency": -1},
            "--intermediate_store_frequency must be at least 0",
            "-1",
        ),
        ({"duplicate_cosine": 0.0}, "--duplicate_cosine must be above 0 and at most 1", "0.0"),
        ({"duplicate_cosine": 1.1}, "--duplicate_cosine must be above 0 and at most 1", "1.1"),
        ({"cross_validate": 1}, "--cross_validate must be at least 2 folds, 0 where", "1"),
        ({"cross_validate": -2}, "--cross_validate must be at least 2 folds, 0 where", "-2"),
        (
            {"label_next": "x"},
            "--label_next_file, the CSV file to list them in, must be given together",
            "--label_next=x and --label_next_file=",
        ),
        (
            {"label_next_file": "x.csv"},
            "must be given together",
            "--label_next= and --label_next_file=x.csv",
        ),
        *(
            ({name: value}, f"--{name} needs the modules to compare, in --compare_modules", "none")
            for name, value in (
                ("compare_only", True),
                ("compare_file", "x.csv"),
                ("compare_plot_file", "x.svg"),
            )
        ),
        ({"compare_modules": "one"}, "must name at least 2 modules, each of them once", "one"),
        ({"compare_modules": "a, b,a "}, "at least 2 modules, each of them once", "a, b,a "),
        ({"compare_modules": ","}, "must name at least 2 modules, each of them once", ","),
        (
            {"compare_modules": "a,b", "compare_file": "x.txt"},
            "--compare_file must end in .json or .csv",
            "x.txt",
        ),
        (
            {"compare_modules": "a,b", "compare_plot_file": "x.jpg"},
            "--compare_plot_file must end in .svg",
            "x.jpg",
        ),
        (
            {"compare_modules": "a,b", "tfhub_module": "a", "named": {"tfhub_module"}},
            "--compare_modules chooses the module itself, and cannot be given with --tfhub_module",
            "both",
        ),
        (
            {"compare_modules": "builtin,efficientnet_lite0"},
            "at least 2 modules, each of them once",
            "builtin,efficientnet_lite0",
        ),
        ({"compare_modules": "a/b,a//b/"}, "each of them once", "a/b,a//b/"),
        *(
            (
                {"compare_modules": "a,b", "compare_only": True, name: value},
                "--compare_only trains on no module, and writes nothing of a training",
                f"--{name}",
            )
            for name, value in (
                ("metrics_file", "m.json"),
                ("learning_curve", True),
                ("saved_model_dir", "saved"),
                ("tflite_output_file", "m.tflite"),
            )
        ),
        (
            {"compare_modules": "a,b", "pooling": "max"},
            "--pooling is for networks and models of Keras",
            "a, b",
        ),
        ({"label_issues_below": 0.0}, "--label_issues_below must be above 0 and at most 1", "0.0"),
        ({"label_issues_below": 1.01}, "--label_issues_below must be above 0 and at most", "1.01"),
        ({"duplicate_cosine": float("nan")}, "--duplicate_cosine must be above 0", "nan"),
        ({"random_rotation": 181}, "--random_rotation must be from 0 to 180", "181"),
        ({"random_shift": -1}, "--random_shift must be from 0 to 100", "-1"),
        ({"random_shear": 61}, "--random_shear must be from 0 to 60", "61"),
        ({"random_contrast": 101}, "--random_contrast must be from 0 to 100", "101"),
        ({"random_saturation": 101}, "--random_saturation must be from 0 to 100", "101"),
        ({"augment": "wild"}, "--augment must be one of none, light, strong", "wild"),
        ({"augment": "light", "distortion_views": 0}, "for many", "0"),
        ({"fine_tune_epochs": 0}, "--fine_tune_epochs must be at least 1", "0"),
        ({"fine_tune_batch_size": 0}, "--fine_tune_batch_size must be at least 1", "0"),
        ({"fine_tune_patience": -1}, "--fine_tune_patience must be at least 0", "-1"),
        ({"fine_tune_max_gb": 0.0}, "--fine_tune_max_gb must be a number above 0", "0.0"),
        ({"fine_tune_weight_decay": 1.5}, "--fine_tune_weight_decay must be from 0 to 1", "1.5"),
        (
            {"fine_tune_learning_rate": float("nan")},
            "--fine_tune_learning_rate must be a number above 0",
            "nan",
        ),
        ({"random_crop": 5, "distortion_views": 0}, "for many, give --distortion_views=50", "0"),
        ({"random_crop": 5, "distortion_views": -1}, "--distortion_views must be at least 1", "-1"),
        ({"distortion_views": -1}, "--distortion_views must be at least 1 when photos are", "-1"),
        ({"early_stopping_patience": -1}, "--early_stopping_patience must be at least 0", "-1"),
        (
            {"named": frozenset({"fine_tune_epochs"}), "fine_tune_epochs": 3},
            "--fine_tune_epochs is for --fine_tune",
            "no --fine_tune",
        ),
        ({"hidden_units": -1}, "--hidden_units must be from 0 to 16384", "-1"),
        ({"hidden_units": 2**64}, "--hidden_units must be from 0 to 16384", "18446744073709551616"),
        ({"dropout": 1.0}, "--dropout must be from 0 to below 1", "1.0"),
        ({"dropout": float("nan")}, "--dropout must be from 0 to below 1", "nan"),
        (
            {"batch_normalization": True, "train_batch_size": 1},
            "--train_batch_size must be at least 2 with --batch_normalization",
            "1",
        ),
        (
            {"optimizer": "lbfgs", "hidden_units": 8},
            "--hidden_units needs --optimizer=adam or gradient_descent",
            "--optimizer=lbfgs",
        ),
        (
            {"optimizer": "lbfgs", "dropout": 0.5},
            "--dropout needs --optimizer=adam or gradient_descent",
            "--optimizer=lbfgs",
        ),
        (
            {"optimizer": "lbfgs", "batch_normalization": True},
            "--batch_normalization needs --optimizer=adam or gradient_descent",
            "--optimizer=lbfgs",
        ),
        ({"label_smoothing": 1.0}, "--label_smoothing must be from 0 to below 1", "1.0"),
        ({"label_smoothing": -0.1}, "--label_smoothing must be from 0 to below 1", "-0.1"),
        ({"l2": -0.5}, "--l2 must be a number from 0 up, or -1", "-0.5"),
        ({"l2": float("nan")}, "--l2 must be a number from 0 up, or -1", "nan"),
        ({"class_weight": ""}, "--class_weight must not be empty", "an empty name"),
        ({"optimizer": "lbfgs", "l2": 0.0}, "--l2 must be above 0 with --optimizer=lbfgs", "0.0"),
        ({"optimizer": "lbfgs", "export": "last"}, "--export must be best with", "last"),
        ({"verify_images": -1}, "--verify_images must be at least 0", "-1"),
        ({"seed": -1}, "--seed must be at least 0", "-1"),
        ({"seed": 2**63}, "--seed must be below 2 to the power of 63", "9223372036854775808"),
        ({"learning_rate": 0.0}, "--learning_rate must be a number above 0", "0.0"),
        ({"learning_rate": -0.1}, "--learning_rate must be a number above 0", "-0.1"),
        ({"learning_rate": float("inf")}, "--learning_rate must be a number above 0", "inf"),
        ({"learning_rate": float("nan")}, "--learning_rate must be a number above 0", "nan"),
        *(
            ({"final_tensor_name": name}, "--final_tensor_name must be letters, digits", name)
            for name in ("", "a b", "_a", "-a", "a:0", "a\n", "结果")
        ),
        *(
            ({"image_size": size}, "--image_size must be pixels, as 224 or 224x192", size)
            for size in ("0", "224x0", "0x224", "-1", "224x", "x224", "224 x 224", "a", "1e2")
        ),
        ({"pooling": "mean"}, "--pooling must be one of average, max, flatten", "mean"),
        ({"pooling": "max"}, "--pooling is for networks and models of Keras", DEFAULT_MODULE),
        (
            {"feature_layer": "conv1", "tfhub_module": "efficientnet_lite0"},
            "--feature_layer is for networks and models of Keras",
            "efficientnet_lite0",
        ),
        ({"image_size": "224x224x3"}, "(height x width)", "224x224x3"),
        ({"image_size": "224X224"}, "--image_size must be pixels", "224X224"),
        ({"image_size": "100000"}, "--image_size must be pixels", "100000"),
    ],
)
def test_broken_settings_of_retrain(changes: dict[str, Any], rule: str, got: str) -> None:
    with pytest.raises(SettingError) as caught:
        RetrainConfig(**changes)
    assert rule in str(caught.value)
    assert str(caught.value).endswith(f"Got {shown(str(got))}.")


@pytest.mark.parametrize(
    ("changes", "rule", "got"),
    [
        ({"input_height": -1}, "--input_height must be at least 0", "-1"),
        ({"input_width": -1}, "--input_width must be at least 0", "-1"),
        *(
            ({"unknown_threshold": text}, "--unknown_threshold must be a probability", text)
            for text in ("1.1", "-0.1", "nan", "automatic")
        ),
        ({"input_std": 0.0}, "--input_std must be finite and not 0", "0.0"),
        ({"input_std": float("nan")}, "--input_std must be finite and not 0", "nan"),
        ({"input_mean": float("inf")}, "--input_mean must be finite", "inf"),
    ],
)
def test_broken_settings_of_label_image(changes: dict[str, Any], rule: str, got: str) -> None:
    with pytest.raises(SettingError) as caught:
        LabelConfig(**{"image": ("a.jpg",), **changes})
    assert rule in str(caught.value)
    assert str(caught.value).endswith(f"Got {got}.")


@pytest.mark.parametrize(
    ("changes", "rule", "got"),
    [
        # Once: another optimizer than was asked for trains, and nothing is said.
        ({"optimizer": "sgd"}, "must be one of gradient_descent, adam, lbfgs", "sgd"),
        ({"optimizer": ""}, "must be one of gradient_descent, adam, lbfgs", "an empty name"),
        ({"optimizer": None}, "must be text", "None"),
        ({"logging_verbosity": "info"}, "must be one of DEBUG, INFO", "info"),
        ({"image_dir": Path("photos")}, "must be text", repr(Path("photos"))),
        ({"seed": 1.0}, "must be a whole number", "1.0"),
        ({"seed": True}, "must be a whole number", "True"),
        ({"seed": "1"}, "must be a whole number", "'1'"),
        ({"learning_rate": "0.1"}, "must be a number", "'0.1'"),
        ({"learning_rate": False}, "must be a number", "False"),
        ({"calibrate": 1}, "must be true or false", "1"),
        ({"calibrate": "yes"}, "must be true or false", "'yes'"),
    ],
)
def test_settings_of_a_wrong_kind(changes: dict[str, Any], rule: str, got: str) -> None:
    (name,) = changes
    with pytest.raises(SettingError) as caught:
        RetrainConfig(**changes)
    assert str(caught.value).startswith(f"--{name} {rule}")
    assert str(caught.value).endswith(f"Got {got}.")


@pytest.mark.parametrize(
    ("image", "got"), [((), "nothing"), (("",), "an empty name"), (("a.jpg", ""), "an empty name")]
)
def test_the_command_needs_photos_to_label(image: tuple[str, ...], got: str) -> None:
    with pytest.raises(SettingError, match="--image must name a photo or a folder") as caught:
        check_photos(LabelConfig(image=image))
    assert str(caught.value).endswith(f"Got {got}.")


def test_photos_to_label_are_a_tuple() -> None:
    with pytest.raises(SettingError, match="--image must be a tuple of names"):
        LabelConfig(image="rose.jpg")  # type: ignore[arg-type]


def test_a_whole_number_is_a_number() -> None:
    assert RetrainConfig(learning_rate=1).learning_rate == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"testing_percentage": 0, "validation_percentage": 0},
        {"testing_percentage": 99, "validation_percentage": 0},
        {"testing_percentage": 0, "validation_percentage": 99},
        {"testing_percentage": 49, "validation_percentage": 50},
        {"validation_batch_size": -1, "test_batch_size": -1},
        {"validation_batch_size": 1, "test_batch_size": 1, "train_batch_size": 1},
        {"how_many_training_steps": 1, "eval_step_interval": 1},
        {"seed": 2**63 - 1},
        {"optimizer": "lbfgs", "l2": 0.1, "export": "last"},
        {"optimizer": "lbfgs", "random_crop": 5},
        {"distortion_views": 1, "random_crop": 5},
        {"distortion_views": 0},
        {"learning_rate": 1e-9},
        {"learning_rate": 1000.0},
        {"random_crop": 300, "random_scale": 300, "random_brightness": 100},
        {"intermediate_store_frequency": 1, "verify_images": 0, "seed": 0},
        {"final_tensor_name": "my.final-result_2"},
        {"final_tensor_name": "9"},
        {"image_size": "1"},
        {"image_size": "99999x1"},
    ],
)
def test_settings_at_the_edge(changes: dict[str, Any]) -> None:
    config = RetrainConfig(**changes)
    assert {name: getattr(config, name) for name in changes} == changes


@pytest.mark.parametrize(
    ("text", "size"),
    [("", None), ("224", (224, 224)), ("224x192", (224, 192)), ("1x2", (1, 2)), ("08", (8, 8))],
)
def test_image_size_is_height_and_width(text: str, size: tuple[int, int] | None) -> None:
    assert RetrainConfig(image_size=text).open_image_size == size


@pytest.mark.parametrize(
    "changes",
    [
        {"flip_left_right": True},
        {"random_crop": 1},
        {"random_scale": 1},
        {"random_brightness": 1},
    ],
)
def test_each_distortion_counts(changes: dict[str, Any]) -> None:
    assert RetrainConfig(**changes).distorts


def test_the_cache_needs_a_name() -> None:
    with pytest.raises(SettingError, match="--bottleneck_dir must name a folder"):
        RetrainConfig(bottleneck_dir="")


def test_sets_of_distortions_give_way_to_what_is_named() -> None:
    assert RetrainConfig(augment="light").distortion == SETS["light"]
    assert RetrainConfig(augment="strong", random_crop=3).distortion == dataclasses.replace(
        SETS["strong"], random_crop=3
    )
    # As --random_rotation=0 on the command line.
    named = frozenset({"random_rotation"})
    assert RetrainConfig(augment="light", named=named).distortion == dataclasses.replace(
        SETS["light"], random_rotation=0
    )
    assert not RetrainConfig().distorts


def test_a_package_that_workers_need_is_missed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(ClusterError, match=r"pip install -r requirements-distributed\.txt"):
        RetrainConfig(image_dir="x", dask_scheduler="local:2")
