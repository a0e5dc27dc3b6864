"""The stage that looks into the network: what its layers make of photos, and what excites them."""

from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from absl import logging

from image_retraining.backbone.loading import Backbone
from image_retraining.evidence.convolutions import Convolutions, liveliest
from image_retraining.foundation.errors import GraphError, short_line
from image_retraining.foundation.records import Head
from image_retraining.photos.batches import photo_batches, plain_photos
from image_retraining.photos.preparation import APPLY
from image_retraining.reports.activations import Activations, FeaturePhotos, LayerPictures
from image_retraining.reports.photo_points import PhotoPoints

# Classes with a photo and a feature; layers; filters of which there are maps, and pictures of what
# excites them; photos of a feature.
_CLASSES, _LAYERS, _MAPS, _EXCITED, _PHOTOS = 10, 4, 64, 6, 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ActivationSettings:
    """How to look; each field as the setting of that name."""

    seed: int
    exif_orientation: str


def look_inside(
    points: PhotoPoints, backbone: Backbone, head: Head, settings: ActivationSettings
) -> Activations:
    """Returns what the layers look at, of a photo a class.

    Args:
        points: photos with their vectors.
        backbone: the network.
        head: what says which features speak for a label.
        settings: how.
    """
    logging.info("Looking into the layers of the module")
    features = _features(points, head)
    try:
        return _look(points, backbone, settings, features)
    except GraphError as error:
        problem = str(error)
    except tf.errors.OpError as error:
        problem = short_line(error)
    return Activations(
        label_ids=(),
        paths=(),
        filters=None,
        layers=(),
        layer_count=0,
        features=features,
        problem=problem,
    )


def _look(
    points: PhotoPoints,
    backbone: Backbone,
    settings: ActivationSettings,
    features: tuple[FeaturePhotos, ...],
) -> Activations:
    found = Convolutions(
        backbone.graph_def, backbone.input_name, backbone.output_name, at_most=_LAYERS
    )
    label_ids, rows = np.unique(points.label_ids, return_index=True)
    paths = [points.paths[row] for row in rows[:_CLASSES]]
    photos = plain_photos(paths, upright=settings.exif_orientation == APPLY)
    batch = next(photo_batches(photos, backbone.image_size, batch_size=_CLASSES), None)
    if batch is None or batch.images is None:
        raise GraphError("Its photos cannot be read any more.")
    layers = []
    for layer, maps in zip(found.layers, found.maps(batch.images.numpy()), strict=True):
        channels, excited = liveliest(maps, _MAPS), liveliest(maps, _EXCITED)
        size = backbone.image_size
        layers.append(
            LayerPictures(
                name=layer.name,
                number=layer.number,
                channels=channels,
                maps=maps[..., channels],
                excited=excited,
                exciting=found.exciting(layer, excited.tolist(), size, seed=settings.seed),
            )
        )
    return Activations(
        label_ids=[int(label_ids[key]) for key in batch.keys],
        paths=[paths[key] for key in batch.keys],
        filters=found.filters(),
        layers=tuple(layers),
        layer_count=found.count,
        features=features,
    )


def _features(points: PhotoPoints, head: Head) -> tuple[FeaturePhotos, ...]:
    """Returns, for each class, the feature whose differences speak most for it."""
    spreads = points.vectors.std(axis=0)
    slopes = head.slopes(points.vectors)
    features = []
    for label_id in np.unique(points.label_ids)[:_CLASSES].tolist():
        feature = int((slopes[:, label_id] * spreads).argmax())
        order = np.argsort(-points.vectors[:, feature], kind="stable")
        rows = order[:_PHOTOS].tolist()
        features.append(FeaturePhotos(feature=feature, label_id=label_id, rows=rows))
    return tuple(features)
