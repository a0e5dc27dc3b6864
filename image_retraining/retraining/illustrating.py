"""The stage that makes pictures for people: photos, and where the evidence in them is."""

import contextlib
import os
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import numpy as np
import tensorflow as tf
from PIL import Image

from image_retraining.backbone.loading import Backbone
from image_retraining.evaluation.projection import NONE, project
from image_retraining.evidence.evidence import Evidence
from image_retraining.evidence.heatmap import blended
from image_retraining.exports.frozen_graph.writer import PHOTOS_NAME, build_graph
from image_retraining.foundation.errors import GraphError, short_line
from image_retraining.foundation.interruption import raise_if_interrupted
from image_retraining.foundation.parallel import overlapped
from image_retraining.foundation.records import FeatureSet, Floats, Head, Split
from image_retraining.head.sampling import evenly
from image_retraining.photos.batches import photo_batches, plain_photos
from image_retraining.photos.preparation import APPLY
from image_retraining.photos.thumbnails import as_jpeg, thumbnail
from image_retraining.reports.findings import Copies, CrossValidated, Judged, WrongLabels
from image_retraining.reports.html.choice import Answer, Illustrated, PhotoMap, Spot, choose
from image_retraining.reports.photo_points import PhotoPoints
from image_retraining.reports.photos_board import MOST_WRONG

Sets = Mapping[Split, FeatureSet]

# Pixels of a picture's longer side: three lie side by side on a phone.
_SIDE = 240
_BATCH_SIZE = 8
# Photos on the map, and the pixels of their pictures there: 4 MB in all. TensorBoard has more.
_FEWEST_SPOTS, _MOST_SPOTS, _SPOT_SIDE = 4, 3000, 48
_MOST_POINTS = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class IllustrationSettings:
    """How to make the pictures; each field as the setting of that name."""

    report_file: str
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


@contextlib.contextmanager
def points_beside(
    sets: Sets, labels: tuple[str, ...], settings: IllustrationSettings
) -> Iterator[Callable[[], PhotoPoints]]:
    """Gives what waits for some_points, which are made in a thread while the block computes.

    Args:
        sets: the photos.
        labels: C class names.
        settings: how.
    """
    ended = threading.Event()
    with ThreadPoolExecutor(max_workers=1) as worker:
        points = worker.submit(some_points, sets, labels, upright=settings.upright, ended=ended)
        try:
            yield points.result
        finally:
            # Of a block that failed, nobody waits for pictures.
            ended.set()


def illustrate(
    backbone: Backbone,
    head: Head,
    settings: IllustrationSettings,
    found: Found,
    points: PhotoPoints,
) -> Illustrated:
    """Returns the pictures; of photos that cannot be read any more there is none.

    Args:
        backbone: with the head, what answers.
        head: likewise.
        settings: how.
        found: what is known of the photos.
        points: some of all photos.
    """
    upright = settings.upright
    choice = choose(found.judged, found.wrong, found.copies)
    if not settings.report_file:
        wrong = choice.wrong[:MOST_WRONG]
        photos = _pictures((answer.path for answer in wrong), upright=upright)
        return Illustrated(choice=choice, photos=_as_jpegs(photos), heatmaps={}, points=points)
    judging = found.crossed.found if found.crossed else found.judged
    photo_map = draw_map(points, settings, wrong={path for path, _ in judging.misclassified()})
    photos = _pictures(choice.paths(), upright=upright)
    asked = [answer for answer in choice.with_evidence if answer.path in photos]
    maps, problem = {}, ""
    if asked:
        try:
            maps = _evidence(asked, backbone, head, upright=upright)
        except GraphError as error:
            # Of a module without a map of features, as one that flattens it.
            problem = str(error)
        except tf.errors.OpError as error:
            problem = short_line(error)
    glowing = {path: blended(np.asarray(photos[path]), found) for path, found in maps.items()}
    return Illustrated(
        choice=choice,
        photos=_as_jpegs(photos),
        heatmaps=_as_jpegs(glowing),
        points=points,
        problem=problem,
        photo_map=photo_map,
    )


def some_points(
    sets: Sets, labels: tuple[str, ...], *, upright: bool, ended: threading.Event
) -> PhotoPoints:
    """Returns up to 5000 photos, evenly over the classes, with their vectors and small pictures.

    Args:
        sets: the photos.
        labels: C class names.
        upright: whether they are turned as their EXIF orientation says.
        ended: says that nobody wants them any more.

    Raises:
        CancelledError: nobody does.
    """
    given = [(split, row) for split, part in sets.items() for row in range(len(part))]
    label_ids = np.concatenate([part.label_ids for part in sets.values()])
    by_label = np.argsort(label_ids, kind="stable")
    rows = by_label[evenly(label_ids[by_label], _MOST_POINTS)].tolist()
    chosen = [given[row] for row in rows]
    paths = tuple(sets[split].paths[row] for split, row in chosen)
    pictures = []
    # Pillow lets go of Python's lock while it decodes.
    small = partial(_small, upright=upright)
    for _, picture in overlapped(small, iter(paths), streams=os.cpu_count() or 1):
        raise_if_interrupted()
        if ended.is_set():
            raise CancelledError
        pictures.append(picture)
    return PhotoPoints(
        labels=labels,
        paths=paths,
        label_ids=label_ids[rows],
        splits=tuple(split.value for split, _ in chosen),
        vectors=np.stack([sets[split].features[row] for split, row in chosen]),
        pictures=tuple(pictures),
        side=_SPOT_SIDE,
        count=len(given),
    )


def draw_map(
    points: PhotoPoints, settings: IllustrationSettings, *, wrong: Collection[str]
) -> PhotoMap | None:
    """Returns the photos in two dimensions, evenly over the classes; None where nobody wants it.

    Args:
        points: the photos.
        settings: how.
        wrong: paths of those that a head which has not met them answers wrongly.
    """
    if settings.report_map == NONE or len(points.paths) < _FEWEST_SPOTS:
        return None
    rows = evenly(points.label_ids, _MOST_SPOTS)
    places = project(points.vectors[rows], settings.report_map, seed=settings.seed)
    spots = [
        Spot(
            path=points.paths[row],
            place=(place[0], place[1]),
            label_id=int(points.label_ids[row]),
            split=points.splits[row],
            is_wrong=points.paths[row] in wrong,
            picture=points.pictures[row],
        )
        for row, place in zip(rows, places.tolist(), strict=True)
    ]
    return PhotoMap(tuple(spots), points.count, settings.report_map)


def _pictures(paths: Iterable[str], *, upright: bool) -> dict[str, Image.Image]:
    """Returns path → picture of photos that can be read."""
    pictures = {}
    for path in dict.fromkeys(paths):
        raise_if_interrupted()
        with contextlib.suppress(OSError):
            pictures[path] = thumbnail(path, _SIDE, upright=upright)
    return pictures


def _as_jpegs(pictures: Mapping[str, Image.Image]) -> dict[str, bytes]:
    return {path: as_jpeg(picture) for path, picture in pictures.items()}


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
