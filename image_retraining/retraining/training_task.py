"""What a training of the head is about: its settings, what it learns from, and what decides it."""

from dataclasses import asdict, dataclass
from typing import Any

from image_retraining.backbone.loading import Backbone
from image_retraining.exports.frozen_graph.writer import build_graph
from image_retraining.foundation.records import FeatureSet, Floats, Head
from image_retraining.foundation.state_file import LABELS
from image_retraining.head import descent
from image_retraining.head.checkpoint import photos_digest
from image_retraining.head.layers import HeadLayers
from image_retraining.photos.distortions import Distortion


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingSettings:
    """How to train; each field as the setting of that name."""

    optimizer: str
    hidden_units: int
    dropout: float
    batch_normalization: bool
    how_many_training_steps: int
    learning_rate: float
    train_batch_size: int
    class_weight: str
    l2: float
    label_smoothing: float
    export: str
    early_stopping_patience: int
    eval_step_interval: int
    validation_batch_size: int
    seed: int
    checkpoint_path: str
    resume: bool
    distortion: Distortion
    distortion_views: int
    final_tensor_name: str
    intermediate_store_frequency: int
    intermediate_output_graphs_dir: str

    @property
    def layers(self) -> HeadLayers:
        """The layers of the head."""
        return HeadLayers(
            hidden_units=self.hidden_units,
            dropout=self.dropout,
            batch_normalization=self.batch_normalization,
        )


@dataclass(frozen=True, slots=True)
class Task:
    """What to learn from, and how."""

    training: FeatureSet
    validation: FeatureSet
    labels: tuple[str, ...]
    weights: Floats
    validation_weights: Floats
    backbone: Backbone
    settings: TrainingSettings

    def graph(self, head: Head) -> Any:
        """Returns the GraphDef of the backbone with a head."""
        return build_graph(self.backbone, head, final_tensor_name=self.settings.final_tensor_name)


def inputs(task: Task) -> dict[str, Any]:
    """Returns what a training must have in common with the one that it goes on from."""
    names = ("learning_rate", "train_batch_size", "optimizer", "l2", "label_smoothing", "seed")
    return {
        LABELS: list(task.labels),
        "photos and labels": photos_digest(task.labels, task.training, task.validation),
        **{f"--{name}": getattr(task.settings, name) for name in names},
        **{f"--{name}": value for name, value in asdict(task.settings.layers).items()},
        "--class_weight": [float(weight) for weight in task.weights],
        # Of checkpoints without it, the head so far was chosen in another way.
        "--class_weight of validation photos": task.validation_weights.tolist(),
        "distortions": str(task.settings.distortion),
        "--distortion_views": task.settings.distortion_views,
    }


def descent_settings(settings: TrainingSettings) -> descent.DescentSettings:
    """Returns how the steps are to be taken."""
    return descent.DescentSettings(
        steps=settings.how_many_training_steps,
        learning_rate=settings.learning_rate,
        optimizer=settings.optimizer,
        l2=max(settings.l2, 0.0),
        label_smoothing=settings.label_smoothing,
        validation_batch_size=settings.validation_batch_size,
        eval_step_interval=settings.eval_step_interval,
        report_step_interval=settings.intermediate_store_frequency,
        seed=settings.seed,
        layers=settings.layers,
    )
