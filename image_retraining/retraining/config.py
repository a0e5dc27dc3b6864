"""Every setting of retrain.py: its name, default and meaning, and what must hold of it.

The script makes one flag of each field marked with `setting`; nothing else repeats a default.
"""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar

from image_retraining.backbone.handles import DEFAULT_MODULE, OFFLINE_MODULE
from image_retraining.backbone.keras_names import AVERAGE, POOLINGS
from image_retraining.evaluation.listing import LISTED_BELOW
from image_retraining.evaluation.projection import PCA, PROJECTIONS
from image_retraining.foundation.own_folders import user_cache
from image_retraining.foundation.settings import (
    image_size,
    setting,
    settings_of,
)
from image_retraining.photos.distortions import NO_SET, SETS, Distortion, Views
from image_retraining.photos.preparation import APPLY, EXIF_CHOICES
from image_retraining.retraining.rules import check

# Where finished classifiers are to be written, a flag a format.
EXPORT_FLAGS = ("output_graph", "tflite_output_file", "saved_model_dir", "onnx_output_file")
# Of --fine_tune: shows where it can be done, and ends.
LIST = "list"
# Of the checkpoint of the head → that of the fine-tuning.
FINE_TUNE_ENDING = ".fine_tune"
VERBOSITIES = ("DEBUG", "INFO", "WARN", "ERROR", "FATAL")


def _default_bottleneck_dir() -> str:
    """Returns where feature vectors are kept: beside the scripts, or with no scripts the user's."""
    beside = Path(__file__).resolve().parents[2]
    if (beside / "retrain.py").is_file():
        return str(beside / "bottleneck_cache")
    return user_cache()


@dataclass(frozen=True, kw_only=True)
class RetrainConfig:
    """The settings of retrain.py.

    Attributes:
        named: the settings that the person gave, where others have their default.
        COMMON: those that most people need, which the help lists first.

    Raises:
        SettingError: a value is out of its range, or two contradict each other.
    """

    COMMON: ClassVar[tuple[str, ...]] = (
        "image_dir",
        "output_dir",
        "tfhub_module",
        "optimizer",
        "how_many_training_steps",
        "learning_rate",
        "testing_percentage",
        "validation_percentage",
        "flip_left_right",
        "saved_model_dir",
        "tflite_output_file",
        "metrics_file",
        "resume",
    )

    image_dir: str = setting(
        "", "Folder of photos: one sub-folder a class, its name is the label.", group="Photos"
    )
    testing_percentage: int = setting(
        10, "Share of photos, in percent, kept for the final test.", group="Photos"
    )
    validation_percentage: int = setting(
        10, "Share of photos, in percent, watched during training.", group="Photos"
    )
    split: str = setting(
        "auto",
        "What decides which photos are for validation and testing: folders (train, valid, test, "
        "with the class folders in each), names of files by the two percentages, or stratified: "
        "each class cut at exact percentages. auto is folders where there are such, else names.",
        group="Photos",
        choices=("auto", "folders", "names", "stratified"),
    )
    on_bad_image: str = setting(
        "skip",
        "What to do with a photo that cannot be read: skip it and list it at the end, or fail.",
        group="Photos",
        choices=("skip", "fail"),
    )
    exif_orientation: str = setting(
        APPLY,
        "Whether photos that the camera held turned are turned upright, as their EXIF data says: "
        "apply, or ignore, which sees them as they lie in the file, as TensorFlow Hub's example "
        "did. label_image.py does as the training did.",
        group="Photos",
        choices=EXIF_CHOICES,
    )
    drop_duplicates: bool = setting(
        default=False,
        meaning="Of photos that are one and the same leave out all but one.",
        group="Photos",
    )
    duplicate_cosine: float = setting(
        0.999,
        "Photos of different sets count as the same when the cosine of their feature vectors is at "
        "least this.",
        group="Photos",
    )

    tfhub_module: str = setting(
        DEFAULT_MODULE,
        "Module that turns photos into feature vectors: a TensorFlow Hub URL; a local folder or "
        ".tar.gz file, in TF2 SavedModel or TF1 Hub format; keras:NAME, a network of "
        "keras.applications, or keras:NAME:FILE with weights from a file; a file of a Keras model; "
        f"or, without a network, '{OFFLINE_MODULE}' ('builtin' for short).",
        group="Module",
    )
    pooling: str = setting(
        AVERAGE,
        "What becomes of the last map of features of a Keras network: its average, its maximum, or "
        "all of it one after the other.",
        group="Module",
        choices=POOLINGS,
    )
    feature_layer: str = setting(
        "",
        "Layer of a Keras network or model that gives the features, in place of what goes into its "
        "last dense layer.",
        group="Module",
    )
    image_size: str = setting(
        "",
        "Height and width in pixels, as 224 or 224x192, for a module that takes several sizes.",
        group="Module",
    )
    compare_modules: str = setting(
        "",
        "Modules to compare on these photos, with commas between them, each named as for "
        "--tfhub_module; the one that is recommended is trained on.",
        group="Module",
    )
    compare_only: bool = setting(
        default=False,
        meaning="Compare --compare_modules, and train on none of them.",
        group="Module",
    )
    bottleneck_dir: str = setting(
        _default_bottleneck_dir(),
        "Folder that keeps the photos' feature vectors for the next run.",
        group="Module",
    )
    bottleneck_engine: str = setting(
        "auto",
        "What computes feature vectors. auto is OpenVINO where it is installed, takes the module "
        "and there is no GPU, else TensorFlow.",
        group="Module",
        choices=("auto", "tensorflow", "openvino"),
    )
    bottleneck_precision: str = setting(
        "float32",
        "Precision to compute them in. bfloat16 is faster and less exact, on processors that have "
        "it; the exported graph computes in float32 in any case.",
        group="Module",
        choices=("float32", "bfloat16"),
    )
    tfhub_cache_dir: str = setting(
        "",
        "Folder that downloaded and unpacked modules are kept in; TFHUB_CACHE_DIR in the "
        "environment goes before it. Without either it is one of the user's own.",
        group="Module",
    )
    tfhub_model_load_format: str = setting(
        "AUTO",
        "How tensorflow_hub reads a module's URL: as an archive (COMPRESSED, AUTO) or straight "
        "from its storage bucket (UNCOMPRESSED).",
        group="Module",
        choices=("COMPRESSED", "UNCOMPRESSED", "AUTO"),
    )

    optimizer: str = setting(
        "gradient_descent",
        "How to find the head: step by step, with gradient_descent or adam, or solved to the end, "
        "with lbfgs, which needs no steps and no learning rate.",
        group="Training",
        choices=("gradient_descent", "adam", "lbfgs"),
    )
    hidden_units: int = setting(
        0,
        "Units of a hidden layer, with ReLU, between feature vector and softmax layer; 0 is none.",
        group="Training",
    )
    dropout: float = setting(
        0.0,
        "Share of the softmax layer's inputs that each step leaves out, 0 to below 1.",
        group="Training",
    )
    batch_normalization: bool = setting(
        default=False,
        meaning="Standardise, over each batch, what the hidden layer gives, or without one the "
        "feature vectors; the exported head has it in its weights.",
        group="Training",
    )
    how_many_training_steps: int = setting(4000, "Training steps.", group="Training")
    learning_rate: float = setting(0.01, "Step size of gradient descent.", group="Training")
    train_batch_size: int = setting(
        100, "Photos a training step, drawn evenly over the classes.", group="Training"
    )
    class_weight: str = setting(
        "balanced",
        "How much a photo counts by its class: balanced, so that all classes count alike; none, so "
        "that all photos do; or a file of lines 'label weight'.",
        group="Training",
    )
    l2: float = setting(
        -1.0,
        "Strength of the regularisation: times half the sum of the squared weights is added to the "
        "loss. -1 is none, and with --optimizer=lbfgs the one that validates best.",
        group="Training",
    )
    label_smoothing: float = setting(
        0.0, "Share of the truth that goes evenly to all labels, 0 to below 1.", group="Training"
    )
    export: str = setting(
        "best",
        "Which head to export: the one with the lowest loss on all validation photos, or the last.",
        group="Training",
        choices=("best", "last"),
    )
    calibrate: bool = setting(
        default=False,
        meaning="Put the temperature that calibrates the probabilities into the exports.",
        group="Training",
    )
    early_stopping_patience: int = setting(
        0, "Stop after so many evaluations without a better head; 0 never does.", group="Training"
    )
    eval_step_interval: int = setting(
        10, "Evaluate every that many steps, and at the last one.", group="Training"
    )
    validation_batch_size: int = setting(
        100,
        "Photos drawn for the validation accuracy in the log; -1 is the whole validation set, as "
        "is any number that it does not exceed.",
        group="Training",
    )
    test_batch_size: int = setting(
        -1,
        "Photos drawn for the final test, none twice, each as likely as another; -1 is the whole "
        "test set, as is any number that it does not exceed.",
        group="Training",
    )
    seed: int = setting(0, "Start of every random draw; equal runs are equal.", group="Training")
    checkpoint_path: str = setting(
        "/tmp/_retrain_checkpoint",  # noqa: S108 - the path that existing scripts know
        "File that keeps the state of the training.",
        group="Training",
    )
    resume: bool = setting(
        default=False,
        meaning="Go on from --checkpoint_path where an interrupted run with equal inputs stopped.",
        group="Training",
    )

    flip_left_right: bool = setting(
        default=False, meaning="Mirror half of the training photos.", group="Distortions"
    )
    random_crop: int = setting(
        0, "Margin, in percent, to crop from at random.", group="Distortions"
    )
    random_scale: int = setting(
        0, "How much, in percent, to enlarge by at random.", group="Distortions"
    )
    random_brightness: int = setting(
        0, "How much, in percent, to brighten or darken at random.", group="Distortions"
    )
    random_rotation: int = setting(
        0, "How far, in degrees, to turn to either side at random.", group="Distortions"
    )
    random_shift: int = setting(
        0, "How far, in percent of the size, to move at random.", group="Distortions"
    )
    random_shear: int = setting(
        0, "How far, in degrees, upright lines are to lean at random.", group="Distortions"
    )
    random_contrast: int = setting(
        0, "How much, in percent, to change the contrast at random.", group="Distortions"
    )
    random_saturation: int = setting(
        0, "How much, in percent, to change the saturation at random.", group="Distortions"
    )
    augment: str = setting(
        NO_SET,
        "A good set of distortions, light or strong; each that is given as well goes before it.",
        group="Distortions",
        choices=(NO_SET, *SETS),
    )
    distortion_views: int = setting(
        8,
        "Distorted views of each training photo, computed once and cached.",
        group="Distortions",
    )

    fine_tune: str = setting(
        "",
        "Train the network's upper layers too, for photos unlike those it knows: auto; the share "
        "of its nodes that stay as they are, 0 to below 1; the name of the tensor above which to "
        "train; all, from the photos on; or list, which shows such tensors and ends. Empty trains "
        "the softmax layer alone.",
        group="Fine-tuning",
    )
    fine_tune_epochs: int = setting(
        20, "How often each photo is learnt from, at most.", group="Fine-tuning"
    )
    fine_tune_learning_rate: float = setting(
        1e-4, "Highest learning rate of Adam, which decays to 0.", group="Fine-tuning"
    )
    fine_tune_weight_decay: float = setting(
        0.01,
        "How strongly weights are drawn back to where they started, times the rate.",
        group="Fine-tuning",
    )
    fine_tune_batch_size: int = setting(8, "Photos a training step.", group="Fine-tuning")
    fine_tune_patience: int = setting(
        8, "Stop after so many epochs without a better network; 0 never does.", group="Fine-tuning"
    )
    fine_tune_max_gb: float = setting(
        10.0,
        "Most that activations may take of the disk, in GB of 10^9 bytes.",
        group="Fine-tuning",
    )

    output_dir: str = setting(
        "",
        "Folder for all results of the run: model.pb, labels.txt, logs/, run.log, settings.json, "
        "checkpoint; results that are named lie in it too. label_image.py --graph opens it. Empty "
        "is none: each result goes where its own flag says.",
        group="Results",
    )
    overwrite: bool = setting(
        default=False,
        meaning="Replace the finished run that --output_dir holds.",
        group="Results",
    )
    output_graph: str = setting(
        "/tmp/output_graph.pb",  # noqa: S108 - the path that existing scripts know
        "Frozen graph to write.",
        group="Results",
    )
    output_labels: str = setting(
        "/tmp/output_labels.txt",  # noqa: S108 - the path that existing scripts know
        "Labels file to write: one label a line, in the order of the graph's outputs.",
        group="Results",
    )
    final_tensor_name: str = setting(
        "final_result", "Name of the softmax node in the graph.", group="Results"
    )
    saved_model_dir: str = setting(
        "",
        "Folder to write a SavedModel to, new or empty, or a folder of numbered versions, which "
        "gets the next.",
        group="Results",
    )
    tflite_output_file: str = setting(
        "", "TensorFlow Lite file to write, its labels in it.", group="Results"
    )
    tflite_quantize: str = setting(
        "none",
        "In which numbers the TensorFlow Lite file computes: none is float32; float16 halves it; "
        "int8, calibrated on training photos, makes it a third and takes uint8 pixels.",
        group="Results",
        choices=("none", "float16", "int8"),
    )
    onnx_output_file: str = setting(
        "",
        "ONNX file to write, its labels in it; needs requirements-onnx.txt.",
        group="Results",
    )
    max_accuracy_drop: float = setting(
        2.0,
        "Warn if a quantised export is by more points less accurate on the photos that it is "
        "verified on.",
        group="Results",
    )
    verify_images: int = setting(
        200,
        "Test photos that the written graph must answer as the training did; 0 skips this.",
        group="Results",
    )
    metrics_file: str = setting(
        "",
        "File to write precision, recall, F1 and the confusion matrix of the test photos to: .json "
        "or .csv.",
        group="Results",
    )
    label_issues_file: str = setting(
        "",
        "CSV file to write the photos to whose label looks wrong, the worst first.",
        group="Results",
    )
    label_issues_below: float = setting(
        LISTED_BELOW,
        "A label looks wrong if its score is below this, 0 to 1; 1 ranks all photos.",
        group="Results",
    )
    cross_validate: int = setting(
        0,
        "Judge heads by all photos, too: dealt into so many folds, each is answered by a head "
        "solved on the others. 0 does it where fewer than 5 validation or testing photos are of "
        "some class, with 5 folds and up to 5000 photos; -1 never does.",
        group="Results",
    )
    learning_curve: bool = setting(
        default=False,
        meaning="Tell how accurate heads of an eighth, a quarter and half of the photos are, and "
        "what twice the photos may bring; with the folds of --cross_validate, or 5.",
        group="Results",
    )
    label_next: str = setting(
        "",
        "Folder of photos without labels, apart from --image_dir: which of them to label next.",
        group="Results",
    )
    label_next_file: str = setting(
        "",
        "CSV file to write the photos of --label_next to, the one that labelling would teach most "
        "of first, each with its likely label.",
        group="Results",
    )
    compare_file: str = setting(
        "",
        "File to write what --compare_modules finds to: .json or .csv.",
        group="Results",
    )
    compare_plot_file: str = setting(
        "",
        "Picture to draw of it, accuracy against time a photo: an .svg file.",
        group="Results",
    )
    report_file: str = setting(
        "/tmp/report.html",  # noqa: S108 - beside the graph
        "Page that shows what came of the run, in one file; empty writes none. Unless it is named, "
        "it lies beside the graph.",
        group="Results",
    )
    report_map: str = setting(
        PCA,
        "How the report draws a map of the photos by their feature vectors: pca, by principal "
        "components; tsne, by neighbours, which takes 10 s and more; or none.",
        group="Results",
        choices=PROJECTIONS,
    )
    print_misclassified_test_images: bool = setting(
        default=False, meaning="List the test photos that the head got wrong.", group="Results"
    )
    intermediate_output_graphs_dir: str = setting(
        "/tmp/intermediate_graph/",  # noqa: S108 - the path that existing scripts know
        "Folder for intermediate graphs.",
        group="Results",
    )
    intermediate_store_frequency: int = setting(
        0, "Write an intermediate graph every that many steps; 0 is never.", group="Results"
    )
    summaries_dir: str = setting(
        "/tmp/retrain_logs",  # noqa: S108 - the path that existing scripts know
        "Folder for TensorBoard logs.",
        group="Results",
    )
    summarize_activations: bool = setting(
        default=False,
        meaning="Show in TensorBoard what the layers of the module make of a photo a class, and "
        "what excites them; takes some ten seconds and more.",
        group="Results",
    )
    logging_verbosity: str = setting(
        "INFO",
        "Least severe messages to show. At a terminal INFO is a summary in plain words, WARN its "
        "results and warnings, DEBUG all lines.",
        group="Results",
        choices=VERBOSITIES,
    )

    dask_scheduler: str = setting(
        "",
        "Has other processes compute the feature vectors: address of a Dask scheduler, as "
        "tls://host:8786, or local:N for N processes of this machine.",
        group="Several machines",
    )
    dask_insecure: bool = setting(
        default=False,
        meaning="Let --dask_scheduler be a tcp:// address of another machine: whoever reaches it "
        "can run programs as its workers, and read what they read.",
        group="Several machines",
    )
    shard_dir: str = setting(
        "",
        "Folder, or address as s3://bucket/shards, that this machine and all workers reach by the "
        "same name, for what they have computed. Empty is a folder in --bottleneck_dir.",
        group="Several machines",
    )

    cache_info: bool = setting(
        default=False,
        meaning="Tell what --bottleneck_dir holds, and do nothing else.",
        group="Care of the cache",
    )
    cache_prune: int = setting(
        -1,
        "Delete the feature vectors in --bottleneck_dir that were not used in so many days, give "
        "their space back, and do nothing else; -1 does not.",
        group="Care of the cache",
    )

    named: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        check(self)

    @property
    def settings(self) -> dict[str, Any]:
        """All settings by their names."""
        return {one.name: getattr(self, one.name) for one in settings_of(self)}

    @property
    def open_image_size(self) -> tuple[int, int] | None:
        """Height and width from --image_size, or None when it is not given."""
        return image_size(self.image_size)

    @property
    def splitting(self) -> dict[str, Any]:
        """What decides the splits, as photos.folder.scan() takes it."""
        names = ("split", "validation_percentage", "testing_percentage", "named")
        return {name: getattr(self, name) for name in names}

    @property
    def module_is_default(self) -> bool:
        """Whether nobody chose the module."""
        return "tfhub_module" not in self.named

    @property
    def modules_to_compare(self) -> tuple[str, ...]:
        """The modules of --compare_modules."""
        names = (name.strip() for name in self.compare_modules.split(","))
        return tuple(name for name in names if name)

    def with_module(self, name: str) -> "RetrainConfig":
        """Returns the settings by which one module is trained on, and none is compared."""
        return replace(
            self,
            tfhub_module=name,
            compare_modules="",
            compare_only=False,
            compare_file="",
            compare_plot_file="",
            named=self.named | {"tfhub_module"},
        )

    @property
    def of_a_training(self) -> tuple[str, ...]:
        """The settings given that say what a training is to write, or to find besides its head."""
        names = (
            *("saved_model_dir", "onnx_output_file", "metrics_file", "label_issues_file"),
            *("label_next", "learning_curve", "print_misclassified_test_images"),
            *("summarize_activations", "fine_tune"),
        )
        is_float = self.tflite_output_file and self.tflite_quantize != "int8"
        return (
            *(name for name in names if getattr(self, name)),
            *(("tflite_output_file",) if is_float else ()),
        )

    @property
    def export_places(self) -> dict[str, str]:
        """Flag of each format → where it is to be written, '' for nowhere."""
        return {name: getattr(self, name) for name in EXPORT_FLAGS}

    @property
    def distortion(self) -> Distortion:
        """How training photos are to be distorted."""
        found = SETS.get(self.augment, Distortion())
        names = {one.name for one in fields(found)}
        # Who calls this from Python may name none.
        default = {one.name: one.default for one in fields(self)}
        given = {
            name: getattr(self, name)
            for name in names
            if name in self.named or getattr(self, name) != default[name]
        }
        return replace(found, **given)

    @property
    def distorts(self) -> bool:
        """Whether training photos are to be distorted."""
        return self.distortion != Distortion()

    @property
    def views(self) -> Views:
        """The distorted views that each training photo is to get; none without distortions."""
        return Views(
            self.distortion,
            self.distortion_views if self.distorts else 0,
            self.seed,
            upright=self.exif_orientation == APPLY,
        )
