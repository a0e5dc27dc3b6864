"""Frozen graph ↔ TF2 SavedModel, for TF Serving and Python."""

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.backbone.freezing import frozen_function
from image_retraining.backbone.graphs import photo_shape
from image_retraining.exports.classifier import FEATURES, Classifier, Features, Layers, Network
from image_retraining.exports.complaints import telling_line
from image_retraining.exports.facts import facts_in_file
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.labels_file import read_labels
from image_retraining.exports.making import clear_versions, making
from image_retraining.exports.signatures import served
from image_retraining.exports.unknown_file import rule_file
from image_retraining.exports.versions import (
    FACTS_ASSET,
    LABELS_ASSET,
    UNKNOWN_ASSET,
    newest_version,
    version_folder,
)
from image_retraining.foundation.errors import GraphError, first_line, unwritable
from image_retraining.foundation.files import sync_folder, sync_names
from image_retraining.foundation.plain_names import plainly_named
from image_retraining.foundation.quiet import quiet_loggers
from image_retraining.foundation.records import Floats


@contextlib.contextmanager
def writing_saved_model(
    folder: str,
    graph_def: Any,
    *,
    output_layer: str,
    image_size: tuple[int, int],
    labels: Sequence[str],
    assets: Mapping[str, bytes] = MappingProxyType({FACTS_ASSET: b"{}"}),
) -> Iterator[Path]:
    """Gives a new SavedModel with the tag `serve`, which takes its place on leaving.

    When the block raises, there is none.

    Its signature `serving_default` takes `image`, float32 [None, H, W, 3], RGB, 0 to 1, and gives
    `prediction`, float32 [None, C], the probabilities in the order of the labels. `serve_bytes`
    takes `bytes`, string [None], JPEG, PNG, GIF or BMP files, and gives `prediction` and `label`,
    string [None], the most probable label of each. `features` takes what `serving_default` does,
    and gives `features`, float32 [None, D], the feature vectors, besides `prediction`. The labels
    are the asset `labels.txt`.

    Args:
        folder: new or empty, or a SavedModel that this tool has written.
        graph_def: as frozen_graph.writer.build_graph gives it.
        output_layer: its softmax node.
        image_size: (H, W).
        labels: C names.
        assets: what else is to lie in it: how the training went, a JSON object, at FACTS_ASSET,
            and what is unknown at UNKNOWN_ASSET.

    Raises:
        OutputError: it cannot be written.
    """
    module = served(graph_def, output_layer, image_size, labels)
    signatures = {
        "serving_default": module.predict,
        "serve_bytes": module.serve_bytes,
        FEATURES: module.features,
    }
    try:
        folder = os.path.realpath(folder)
        # What is there later is another run's.
        replaces_ours = Path(folder, FACTS_ASSET).is_file()
        # TF Serving takes up a numbered folder as soon as it is there.
        parent = Path(folder).absolute().parent
        parent.mkdir(parents=True, exist_ok=True)
        with making(Path(folder), labels) as beside, plainly_named(beside) as temporary:
            module.assets = _written(temporary, assets)
            made = Path(temporary) / "model"
            with quiet_loggers():
                tf.saved_model.save(module, str(made), signatures=signatures)
            yield made
            sync_folder(made)
            if replaces_ours:
                os.rename(folder, Path(temporary) / "replaced")
            elif os.path.isdir(folder):
                os.rmdir(folder)
            shutil.move(made, folder)
            sync_names(parent)
    except OSError as error:
        raise unwritable(folder, error) from error


def _written(folder: str, assets: Mapping[str, bytes]) -> list[Any]:
    """Returns the assets, whose files are written first into a folder that has the labels."""
    places = {name: os.path.join(folder, Path(name).name) for name in (LABELS_ASSET, *assets)}
    for name, contents in assets.items():
        Path(places[name]).write_bytes(contents)
    return [tf.saved_model.Asset(place) for place in places.values()]


class SavedModel:
    """A SavedModel from disk, ready to run on photos.

    Attributes:
        image_size: (H, W) of the photos it takes; None where it leaves one of them open.
        pixel_range: None, for only its facts say how pixels go in.
        output_size: C, how many scores it gives a photo; None where that is left open.
        score_step: 0, for scores are float32.
        streams: how many batches are best scored at a time.
        labels: C names, in the order of the scores; () when it has none with it.
        labels_source: where these labels stand.
        facts: what was written with it; None without.
        scores_of_file: None, for it takes pixels.
        features: how it gives feature vectors, if it has the signature for them.
    """

    streams = 2
    score_step = 0.0

    def __init__(self, folder: str | Path) -> None:
        """Reads a SavedModel.

        Raises:
            GraphError: the folder holds none, or none with a signature that takes photos.
        """
        try:
            with plainly_named(folder) as name:
                self._loaded = tf.saved_model.load(name, tags=["serve"])
        except (OSError, ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = first_line(error)
            raise GraphError(
                f"--graph must be a SavedModel if it is a folder. Got {folder}: {reason}"
            ) from error
        signature = self._loaded.signatures.get("serving_default")
        inputs = signature.structured_input_signature[1] if signature else {}
        outputs = signature.structured_outputs if signature else {}
        if len(inputs) != 1 or len(outputs) != 1:
            raise GraphError(
                "--graph must be a SavedModel whose signature serving_default takes photos and "
                f"gives scores. Got {folder}, with {len(inputs)} inputs and {len(outputs)} outputs."
            )
        ((self._input, spec),) = inputs.items()
        ((self._output, scores),) = outputs.items()
        self._signature = signature
        shape = photo_shape(spec)
        self.image_size = tuple(shape[1:3]) if len(shape) == 4 else (None, None)
        self.output_size = scores.shape[-1] if scores.shape.rank else None
        labels, facts = Path(folder, LABELS_ASSET), Path(folder, FACTS_ASSET)
        self.labels = read_labels(labels) if labels.exists() else ()
        self.facts = facts_in_file(facts)
        self.pixel_range = None
        self.labels_source = str(folder)
        self.scores_of_file = None
        self._features = self._loaded.signatures.get(FEATURES)
        self.features = None
        if self._features:
            rule = rule_file(str(Path(folder, UNKNOWN_ASSET)))
            self.features = Features(self._scores_and_vectors, *rule)

    def scores(self, images: Any) -> Floats:
        """Returns float32 [N, C] for float32 [N, H, W, 3], 0 to 1.

        Raises:
            GraphError: it cannot work with such photos.
        """
        answer = self._answer(self._signature, images)
        return np.asarray(answer[self._output], np.float32)

    def _scores_and_vectors(self, images: Any) -> tuple[Floats, Floats]:
        """Returns float32 [N, C] and [N, D] for float32 [N, H, W, 3]."""
        answer = self._answer(self._features, images)
        return np.asarray(answer[self._output]), np.asarray(answer[FEATURES])

    def _answer(self, signature: Any, images: Any) -> Any:
        try:
            return signature(**{self._input: tf.convert_to_tensor(images)})
        except (TypeError, ValueError, tf.errors.InvalidArgumentError) as error:
            reason = telling_line(error)
            raise GraphError(f"The SavedModel cannot work with such photos: {reason}") from error

    def network(self) -> Network:
        """Returns it as a frozen graph.

        Raises:
            GraphError: it cannot be frozen.
        """
        try:
            return Network(*frozen_function(self._signature))
        except (ValueError, RuntimeError, tf.errors.OpError) as error:
            reason = first_line(error)
            raise GraphError(f"The SavedModel must be one to freeze. Got: {reason}") from error


class SavedModelFormat(Format):
    """SavedModels, of this tool and of others."""

    name = "SavedModel"
    flag = "saved_model_dir"
    ending = ""

    def recognises(self, path: str, start: bytes) -> bool:  # noqa: ARG002 - no other is a folder
        """Whether it is a folder."""
        return os.path.isdir(path)

    def open(self, path: str, layers: Layers) -> Classifier:  # noqa: ARG002 - it has no choice
        """Returns the SavedModel, the newest one of a folder of versions."""
        return SavedModel(newest_version(path))

    def target(self, named: str, *, overwrite: bool = False) -> str:
        """Returns the folder that was named, or that of the next version in it."""
        clear_versions(named)
        return version_folder(named, overwrite=overwrite)

    def writing(self, target: str, finished: Finished) -> contextlib.AbstractContextManager[Path]:
        """Gives the SavedModel, with labels and facts in it."""
        facts = finished.facts
        assets = {FACTS_ASSET: facts.as_json().encode()}
        if finished.unknown:
            assets[UNKNOWN_ASSET] = finished.unknown
        return writing_saved_model(
            target,
            finished.graph_def,
            output_layer=facts.output_layer,
            image_size=facts.image_size,
            labels=facts.labels,
            assets=assets,
        )
