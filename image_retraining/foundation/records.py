"""What the stages hand to each other."""

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int32]


class Split(enum.Enum):
    """The part a photo plays: learnt from, watched while learning, or judged by at the end."""

    TRAINING = "training"
    VALIDATION = "validation"
    TESTING = "testing"


# What a model is judged by, best first: photos that it has not met.
JUDGING_ORDER = (Split.TESTING, Split.VALIDATION, Split.TRAINING)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """One photo.

    Attributes:
        path: the file, as reached through --image_dir.
        label_id: index of its label in Catalog.labels.
        split: the set it belongs to.
    """

    path: str
    label_id: int
    split: Split


@dataclass(frozen=True, slots=True)
class Catalog:
    """The photos of one image folder.

    Attributes:
        labels: class names, sorted; at least two.
        records: the photos, sorted by label_id, then by path.
        image_dir: the folder, as it was named.
        split_by: what decided the splits: "names", "folders" or "stratified".
    """

    labels: tuple[str, ...]
    records: tuple[ImageRecord, ...]
    image_dir: str
    split_by: str = "names"


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A photo that was left out.

    Attributes:
        path: the file.
        reason: one line, without the path.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True)
class Doubtful:
    """A photo that was read, though it is damaged.

    Attributes:
        path: the file.
        damage: what is wrong with it, one line, without the path.
    """

    path: str
    damage: str


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The feature vectors of one split.

    Attributes:
        features: float32 [N, D].
        label_ids: int32 [N], ascending.
        paths: N file names, in the order of the rows.
        digests: SHA-256 of each photo's contents, in the order of the rows; () when unknown.
        views: float32 [N, K, D], of K distorted views of each photo; None without.
    """

    features: Floats
    label_ids: Ints
    paths: tuple[str, ...]
    digests: tuple[bytes, ...] = ()
    views: Floats | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def rows(self, chosen: Sequence[int]) -> Self:
        """Returns the set of the photos in some rows, in the order of `chosen`."""
        return replace(
            self,
            **{field.name: _chosen(getattr(self, field.name), chosen) for field in fields(self)},
        )


def _chosen(values: Any, rows: Sequence[int]) -> Any:
    """Returns some rows of an array or a tuple; what is unknown stays so."""
    if values is None or not len(values):
        return values
    if isinstance(values, np.ndarray):
        return values[np.asarray(rows, np.intp)]
    return tuple(values[row] for row in rows)


@dataclass(frozen=True, slots=True)
class Extraction:
    """The feature vectors of a catalog.

    Attributes:
        sets: one FeatureSet a split, possibly of no photos.
        unreadable: the photos left out, in the catalog's order.
        doubtful: the photos among the others that are damaged, in the catalog's order.
        turned_count: how many photos were turned upright, as their EXIF orientation says.
        flattened_count: how many are transparent and were put on white.
        converted_count: how many Pillow decoded, where TensorFlow does not.
    """

    sets: Mapping[Split, FeatureSet]
    unreadable: tuple[Unreadable, ...]
    doubtful: tuple[Doubtful, ...] = ()
    turned_count: int = 0
    flattened_count: int = 0
    converted_count: int = 0


@dataclass(frozen=True, slots=True)
class Head:
    """What is trained: softmax(features @ weights + bias), perhaps after a hidden layer.

    That gives ReLU(features @ hidden_weights + hidden_bias) in place of the features.

    Attributes:
        weights: float32 [D, C], or [H, C] after a hidden layer.
        bias: float32 [C].
        hidden_weights: float32 [D, H]; None without a hidden layer.
        hidden_bias: float32 [H]; None likewise.
    """

    weights: Floats
    bias: Floats
    hidden_weights: Floats | None = None
    hidden_bias: Floats | None = None

    def values(self) -> dict[str, Floats]:
        """Returns the arrays that there are, by their names."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: values for name, values in named.items() if values is not None}

    @property
    def is_finite(self) -> bool:
        """Whether all of it are numbers."""
        return all(bool(np.isfinite(values).all()) for values in self.values().values())

    def logits(self, features: Floats) -> Floats:
        """Returns float32 [N, C], what the softmax is taken of, for features float32 [N, D]."""
        inner = self._before_relu(features)
        if inner is not None:
            features = np.maximum(inner, 0)
        logits: Floats = features @ self.weights + self.bias
        return logits

    def slopes(self, features: Floats) -> Floats:
        """Returns float32 [D, C], how fast each logit rises with each feature.

        After a hidden layer it is the mean over the features, float32 [N, D], N at least 1.
        """
        inner = self._before_relu(features)
        if inner is None or self.hidden_weights is None:
            return self.weights
        shares = (inner > 0).mean(axis=0, dtype=np.float32)
        slopes: Floats = self.hidden_weights @ (shares[:, np.newaxis] * self.weights)
        return slopes

    def _before_relu(self, features: Floats) -> Floats | None:
        if self.hidden_weights is None or self.hidden_bias is None:
            return None
        inner: Floats = features @ self.hidden_weights + self.hidden_bias
        return inner


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How a head did on some photos.

    Attributes:
        logits: float32 [N, C].
        label_ids: int32 [N], the true labels.
        accuracy: share of right answers, 0 to 1.
        cross_entropy: mean of -log(probability of the true label), nats.
        weighted_cross_entropy: the same, each photo counting by the weight of its class; a head is
            chosen by it. Equal to the other where nobody gave weights.
    """

    logits: Floats
    label_ids: Ints
    accuracy: float
    cross_entropy: float
    weighted_cross_entropy: float

    @property
    def predicted_ids(self) -> Ints:
        """int32 [N], the most probable label of each photo."""
        ids: Ints = self.logits.argmax(axis=1).astype(np.int32)
        return ids


# Names of a training step's figures, as TensorBoard shows them.
BATCH_FIGURES = ("accuracy", "cross_entropy")
HEAD_FIGURES = tuple(
    f"final_retrain_ops/{part}/summaries/{figure}"
    for part in ("weights", "biases")
    for figure in ("mean", "stddev", "max", "min")
)


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """What happened in some steps of training.

    Attributes:
        steps: the steps, one after the other.
        scalars: of BATCH_FIGURES and HEAD_FIGURES, float32 [steps], before each of the steps.
        head: after the last of the steps.
        train: of that head on the last step's batch, at evaluation steps, else None.
        validation: of that head on validation photos, at evaluation steps and if there are any.
        whole_validation: the same on all validation photos; of very many, on a fixed sample.
    """

    steps: range
    scalars: Mapping[str, Floats]
    head: Head
    train: Evaluation | None
    validation: Evaluation | None
    whole_validation: Evaluation | None


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a graph says of one photo.

    Attributes:
        path: the file.
        scores: float32 [C], or None when the photo could not be read.
        reason: why it could not be read, else ''.
        damage: what is wrong with it where it could be read all the same, else ''.
        distance: how far its feature vector is from what was learnt; 0 where nobody asked.
    """

    path: str
    scores: Floats | None
    reason: str = ""
    damage: str = ""
    distance: float = 0.0
