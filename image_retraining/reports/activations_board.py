"""What the layers of a network look at → TensorBoard's images."""

from collections.abc import Iterator

import numpy as np
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.text.summary_v2 import text_pb

from image_retraining.evidence.heatmap import glow
from image_retraining.foundation.records import Floats
from image_retraining.foundation.text import shown
from image_retraining.reports.activations import Activations, FeaturePhotos, LayerPictures
from image_retraining.reports.event_files import (
    ACTIVATIONS_RUN,
    image_value,
    remove_earlier,
    write_summaries,
)
from image_retraining.reports.markdown import escaped
from image_retraining.reports.photo_points import PhotoPoints
from image_retraining.reports.tiles import Pixels, squared, tiled

_COLOURS = 3


def write_to_tensorboard(
    summaries_dir: str, found: Activations, points: PhotoPoints, *, step: int
) -> None:
    """Writes activations/, in place of what an earlier run of this tool wrote there.

    Args:
        summaries_dir: folder that `tensorboard --logdir` is given.
        found: what the layers look at.
        points: the photos that it speaks of.
        step: the training step whose head it is, from 0.

    Raises:
        OutputError: it cannot be written.
    """
    remove_earlier(summaries_dir, [ACTIVATIONS_RUN])
    write_summaries(summaries_dir, ACTIVATIONS_RUN, _summaries(found, points), step=step)


def _summaries(found: Activations, points: PhotoPoints) -> Iterator[Summary]:
    if found.problem:
        yield text_pb("activations", f"The layers cannot be shown. {escaped(found.problem)}")
    if found.filters is not None:
        about = "Each filter scaled to its own range, in the colours of the pixels it looks at."
        yield _image("filters of the first convolution", _filters(found.filters), 32, about)
    digits = len(str(found.layer_count))
    for layer in found.layers:
        name = f"layer {layer.number:0{digits}} of {found.layer_count}"
        yield from _of_layer(layer, name, found, points)
    for one in found.features:
        yield from _of_feature(one, points)


def _of_layer(
    layer: LayerPictures, name: str, found: Activations, points: PhotoPoints
) -> Iterator[Summary]:
    op = escaped(layer.name)
    least = layer.maps.min(axis=(0, 1, 2))
    span = np.maximum(layer.maps.max(axis=(0, 1, 2)) - least, np.finfo(np.float32).tiny)
    for row, (label_id, path) in enumerate(zip(found.label_ids, found.paths, strict=True)):
        maps = np.moveaxis((layer.maps[row] - least) / span, -1, 0)
        label = shown(points.labels[label_id])
        about = (
            f"{op}: {len(maps)} filters whose answers differ most, each from dark to light as far "
            f"as it goes on these photos. {escaped(path)}"
        )
        yield _image(f"activations/{name} of {label}", list(glow(maps).astype(np.uint8)), 64, about)
    numbers = ", ".join(map(str, layer.excited.tolist()))
    about = f"{op}: a picture that excites filter {numbers} much, by gradient ascent."
    yield _image(f"what excites filters/{name}", list(_pixels(layer.exciting)), 64, about)


def _of_feature(one: FeaturePhotos, points: PhotoPoints) -> Iterator[Summary]:
    pictures = [np.asarray(squared(points.pictures[row], points.side)) for row in one.rows]
    label = shown(points.labels[one.label_id])
    labels = ", ".join(shown(points.labels[points.label_ids[row]]) for row in one.rows)
    about = f"The photos with most of feature {one.feature} are of: {escaped(labels)}"
    tag = f"photos with most of a feature/feature {one.feature}, which speaks for {label}"
    yield _image(tag, pictures, 64, about, across=6)


def _image(
    tag: str, pictures: list[Pixels], least_side: int, about: str, *, across: int = 0
) -> Summary:
    png, size = tiled(pictures, least_side=least_side, across=across)
    return Summary(value=[image_value(tag, png, size, about=about)])


def _filters(weights: Floats) -> list[Pixels]:
    """Returns pictures of filters, float32 [h, w, channels, filters]."""
    if weights.shape[2] != _COLOURS:
        weights = weights.mean(axis=2, keepdims=True).repeat(_COLOURS, axis=2)
    least = weights.min(axis=(0, 1, 2))
    span = np.maximum(weights.max(axis=(0, 1, 2)) - least, np.finfo(np.float32).tiny)
    return list(_pixels(np.moveaxis((weights - least) / span, -1, 0)))


def _pixels(shares: Floats) -> Pixels:
    """Returns shares of 0 to 1 as uint8."""
    pixels: Pixels = (shares * 255).round().clip(0, 255).astype(np.uint8)
    return pixels
