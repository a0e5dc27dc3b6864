"""The last stage: the head → files, each proven on photos before it takes its place."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from image_retraining import __version__
from image_retraining.backbone.loading import Backbone
from image_retraining.exports.classifier import Classifier, Layers, WithVectors, told_range
from image_retraining.exports.facts import ModelFacts
from image_retraining.exports.format import Finished, Format
from image_retraining.exports.formats import FORMATS, check_installed
from image_retraining.exports.frozen_graph.writer import PHOTOS_NAME, build_graph
from image_retraining.exports.predictions import predict
from image_retraining.exports.proof import Verification, must_be_the_same
from image_retraining.exports.unknown_file import digest, rule_bytes
from image_retraining.exports.verification import verify, verify_vectors
from image_retraining.features.anew import computed_anew
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.trust import Vectors, of_today
from image_retraining.foundation.errors import VerificationError
from image_retraining.foundation.records import JUDGING_ORDER, Catalog, FeatureSet, Head, Split
from image_retraining.head.sampling import evenly
from image_retraining.reports.findings import Calibrated, Exported, Judged


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportSettings:
    """What to write, and where; each field as the setting of that name.

    Attributes:
        export_places: flag of a format → where it is to be written, '' for nowhere.
    """

    export_places: Mapping[str, str]
    output_labels: str
    final_tensor_name: str
    tflite_quantize: str
    verify_images: int
    testing_percentage: int
    validation_percentage: int
    overwrite: bool
    exif_orientation: str
    bottleneck_dir: str


def check(settings: ExportSettings) -> None:
    """Checks that what is asked for can be written here.

    Raises:
        ExportError: something that writes it is not installed.
    """
    check_installed({flag for flag, place in settings.export_places.items() if place})


def facts(
    catalog: Catalog,
    backbone: Backbone,
    judged: Judged,
    calibrated: Calibrated,
    settings: ExportSettings,
) -> ModelFacts:
    """Returns what the exports are."""
    metrics, by_folder = judged.metrics, catalog.split_by == "folders"
    return ModelFacts(
        labels=judged.labels,
        image_size=backbone.image_size,
        input_range=(0.0, 1.0),
        input_layer=PHOTOS_NAME,
        output_layer=settings.final_tensor_name,
        module=backbone.handle,
        module_fingerprint=backbone.fingerprint,
        module_credit=backbone.credit,
        fine_tuned_above=backbone.tuned_above,
        testing_percentage=None if by_folder else settings.testing_percentage,
        validation_percentage=None if by_folder else settings.validation_percentage,
        test_accuracy=metrics.accuracy if metrics else None,
        test_count=metrics.count if metrics else 0,
        tool_version=__version__,
        calibration=calibrated.calibration,
        temperature_in_graph=calibrated.in_graph,
        split=catalog.split_by,
        exif_orientation=settings.exif_orientation,
        unknown_rule=digest(rule_bytes(calibrated.unknown)),
    )


def export(
    calibrated: Calibrated,
    backbone: Backbone,
    sets: Mapping[Split, FeatureSet],
    facts: ModelFacts,
    settings: ExportSettings,
    results: contextlib.ExitStack,
) -> tuple[Exported, ...]:
    """Returns what is written and proven: the graph with its labels, and what else is asked for.

    All of it takes its place when `results` is closed, or nothing if something raises before.

    Args:
        calibrated: the head, and what is unknown to it.
        backbone: with the head, what is exported.
        sets: the photos to prove it on, and those to calibrate integers on.
        facts: what the exports are.
        settings: what to write, and where.
        results: takes the new files.

    Raises:
        ExportError: a format cannot hold the graph.
        GraphError: what is written cannot run.
        OutputError: something cannot be written.
        PhotoError: a photo cannot be read any more.
        VerificationError: an export does not answer as the training did.
    """
    head = calibrated.head
    finished = Finished(
        graph_def=build_graph(backbone, head, final_tensor_name=settings.final_tensor_name),
        facts=facts,
        labels_file=settings.output_labels,
        training=sets[Split.TRAINING],
        quantization=settings.tflite_quantize,
        unknown=rule_bytes(calibrated.unknown),
    )
    split = next(split for split in JUDGING_ORDER if len(sets[split]))
    judges = _Judges(
        head,
        split,
        sets[split],
        settings.verify_images,
        partial(
            computed_anew,
            image_size=backbone.image_size,
            make_engine=partial(EngineChoice().make, backbone),
            upright=facts.is_upright,
        ),
        settings.bottleneck_dir,
    )
    exports = []
    for kind in FORMATS:
        if place := settings.export_places[kind.flag]:
            target = kind.target(place, overwrite=settings.overwrite)
            temporary = results.enter_context(kind.writing(target, finished))
            exports.append(_proven_export(kind, target, temporary, finished, judges))
    return tuple(exports)


@dataclass(frozen=True, slots=True)
class _Judges:
    """What an export is proven by: photos, and the head that has seen their feature vectors.

    Attributes:
        anew: computes the vectors of photo files anew.
        kept_in: the folder from which those that the head has seen may come.
    """

    head: Head
    split: Split
    photos: FeatureSet
    at_most: int
    anew: Callable[[Sequence[str]], Vectors]
    kept_in: str

    def asked(self, count: int) -> FeatureSet:
        """Returns so many photos at most, evenly over the classes."""
        return self.photos.rows(evenly(self.photos.label_ids, count))

    def today(self, photos: FeatureSet) -> FeatureSet:
        """Returns them with vectors computed anew, or itself if these are the same."""
        return of_today(photos, self.anew(photos.paths), self.kept_in)


def _proven_export(
    kind: Format, target: str, temporary: Path, finished: Finished, judges: _Judges
) -> Exported:
    """Returns an export that is written, and is proven here."""
    facts = finished.facts
    quantization, proof = kind.quantization(finished), None
    count = max(judges.at_most, kind.least_proof)
    if count:
        written = kind.open(str(temporary), Layers(output=facts.output_layer))
        # Readers look at these only when they are asked for them.
        _ = written.labels, written.facts
        proof = _proven(written, quantization, facts, judges, count)
    return Exported(
        name=kind.name,
        path=target,
        quantization=quantization,
        proof=proof,
        split=judges.split if proof else None,
    )


def _proven(
    written: Classifier, quantization: str, facts: ModelFacts, judges: _Judges, count: int
) -> Verification:
    """Returns how an export answers, whose feature vectors are those of the training."""
    asking = partial(
        predict,
        image_size=facts.image_size,
        upright=facts.is_upright,
        taken=written.pixel_range or told_range(facts),
    )
    head, asked, exact = judges.head, judges.asked(count), must_be_the_same(quantization)

    def proof_on(photos: FeatureSet) -> Verification:
        proof = verify(partial(asking, written), head, photos, exact=exact, at_most=count)
        if written.features:
            both = partial(asking, WithVectors(written.streams, written.features))
            verify_vectors(both, head, photos, quantization=quantization, at_most=count)
        return proof

    try:
        return proof_on(asked)
    except VerificationError:
        today = judges.today(asked)
        if today is asked:
            raise
        return proof_on(today)
