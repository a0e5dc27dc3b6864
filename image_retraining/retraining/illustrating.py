"""The stage that makes the pictures of the report: photos, and where the evidence in them is."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from image_retraining.backbone.loading import Backbone
from image_retraining.evaluation.projection import NONE, project
from image_retraining.evidence.evidence import Evidence
from image_retraining.evidence.heatmap import blended
from image_retraining.exports.frozen_graph.writer import PHOTOS_NAME, build_graph
from image_retraining.foundation.errors import GraphError, short_line
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.records import FeatureSet, Floats, Head, Split
from image_retraining.head.sampling import evenly
from image_retraining.photos.batches import photo_batches, plain_photos
from image_retraining.photos.preparation import APPLY
from image_retraining.photos.thumbnails import as_jpeg, thumbnail
from image_retraining.reports.findings import Copies, CrossValidated, Judged, WrongLabels
from image_retraining.reports.html.choice import Answer, Illustrated, PhotoMap, Spot, choose

Sets = Mapping[Split, FeatureSet]

# Pixels of a picture's longer side: three lie side by side on a phone.
_SIDE = 240
_BATCH_SIZE = 8
# Photos on the map, and the pixels of their pictures there: 4 MB in all.
_FEWEST_SPOTS, _MOST_SPOTS, _SPOT_SIDE = 4, 3000, 48


@dataclass(frozen=True, slots=True, kw_only=True)
class IllustrationSettings:
    """How to make the pictures; each field as the setting of that name."""

    report_map: str
    seed: int
    exif_orientation: str

    @property
    def upright(self) -> bool:
        """Whether photos are turned as their EXIF orientation says."""
        return self.exif_orientation == APPLY


@dataclass(frozen=True, slots=True)
class Found:
    """What other stages found of the photos.

    Attributes:
        judged: how the head did on the test photos.
        wrong: which labels look wrong; None unless they were looked for.
        copies: which photos are one and the same.
        crossed: how heads do on all photos; None unless that was worked out.
    """

    judged: Judged
    wrong: WrongLabels | None
    copies: Copies
    crossed: CrossValidated | None


def illustrate(
    sets: Sets,
    backbone: Backbone,
    head: Head,
    settings: IllustrationSettings,
    found: Found,
) -> Illustrated:
    """Returns the pictures; of photos that cannot be read any more there is none.

    Args:
        sets: the photos.
        backbone: with the head, what answers.
        head: likewise.
        settings: how.
        found: what is known of the photos.
    """
    choice, upright = choose(found.judged, found.wrong, found.copies), settings.upright
    judging = found.crossed.found if found.crossed else found.judged
    mistakes = judging.misclassified()
    photo_map = draw_map(sets, settings, wrong={path for path, _ in mistakes})
    small = {}
    for path in dict.fromkeys(choice.paths()):
        raise_if_interrupted()
        try:
            small[path] = thumbnail(path, _SIDE, upright=upright)
        except OSError:
            continue
    asked = [answer for answer in choice.with_evidence if answer.path in small]
    maps, problem = {}, ""
    if asked:
        try:
            maps = _evidence(asked, backbone, head, upright=upright)
        except GraphError as error:
            # Of a module without a map of features, as one that flattens it.
            problem = str(error)
        except tf.errors.OpError as error:
            problem = short_line(error)
    heatmaps = {
        path: as_jpeg(blended(np.asarray(small[path]), evidence)) for path, evidence in maps.items()
    }
    photos = {path: as_jpeg(picture) for path, picture in small.items()}
    return Illustrated(
        choice=choice, photos=photos, heatmaps=heatmaps, problem=problem, photo_map=photo_map
    )


def draw_map(
    sets: Sets, settings: IllustrationSettings, *, wrong: Collection[str]
) -> PhotoMap | None:
    """Returns the photos in two dimensions, evenly over the classes; None where nobody wants it.

    Args:
        sets: the photos.
        settings: how.
        wrong: paths of those that a head which has not met them answers wrongly.
    """
    photos = [(split, part) for split, part in sets.items() if len(part)]
    paths = [path for _, part in photos for path in part.paths]
    if settings.report_map == NONE or len(paths) < _FEWEST_SPOTS:
        return None
    label_ids = np.concatenate([part.label_ids for _, part in photos])
    splits = [split.value for split, part in photos for _ in range(len(part))]
    rows = evenly(label_ids, _MOST_SPOTS)
    vectors = np.concatenate([part.features for _, part in photos])[rows]
    places = project(vectors, settings.report_map, seed=settings.seed)
    spots = []
    for row, place in zip(rows, places.tolist(), strict=True):
        raise_if_interrupted()
        spots.append(
            Spot(
                path=paths[row],
                place=(place[0], place[1]),
                label_id=int(label_ids[row]),
                split=splits[row],
                is_wrong=paths[row] in wrong,
                picture=_small(paths[row], upright=settings.upright),
            )
        )
    return PhotoMap(tuple(spots), len(paths), settings.report_map)


def _small(path: str, *, upright: bool) -> bytes:
    try:
        return as_jpeg(thumbnail(path, _SPOT_SIDE, upright=upright))
    except OSError:
        return b""


def _evidence(
    answers: Sequence[Answer], backbone: Backbone, head: Head, *, upright: bool
) -> dict[str, Floats]:
    """Returns path → float32 [h, w], where the evidence for the answer is."""
    graph_def = build_graph(backbone, head, final_tensor_name="answer")
    evidence = Evidence(graph_def, f"{PHOTOS_NAME}:0", "answer:0")
    photos = plain_photos([answer.path for answer in answers], upright=upright)
    found: dict[str, Floats] = {}
    for batch in photo_batches(photos, backbone.image_size, batch_size=_BATCH_SIZE):
        if batch.images is None:
            continue
        raise_if_interrupted()
        asked = [answers[number] for number in batch.keys]
        label_ids = np.array([answer.answer_id for answer in asked], np.int32)
        maps = evidence.explain(batch.images.numpy(), label_ids).maps
        found |= {answer.path: one for answer, one in zip(asked, maps, strict=True)}
    return found
