"""The stages before the training: what is known of the photos."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.found import FoundFiles
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.readable import of_readable
from image_retraining.foundation.records import Catalog, Extraction, Floats
from image_retraining.foundation.settings import part_of
from image_retraining.reports.findings import Copies
from image_retraining.retraining import cut_examples, evaluating, extracting
from image_retraining.retraining.config import RetrainConfig
from image_retraining.retraining.telling import Stages


@dataclass(frozen=True, slots=True)
class Seen:
    """What is known of the photos before the training.

    Attributes:
        catalog: those that can be read.
        backbone: the module that looked at them, frozen.
        extraction: their feature vectors.
        copies: which of them are one and the same.
        others: what other modules have of them.
        unlabelled: the photos without labels that are to be ranked; None without.
    """

    catalog: Catalog
    backbone: Backbone
    extraction: Extraction
    copies: Copies
    others: Sequence[Mapping[bytes, Floats]]
    unlabelled: Extraction | None


def look(
    config: RetrainConfig,
    catalog: Catalog,
    waiting: Catalog | None,
    cache: BottleneckCache,
    stages: Stages,
) -> Seen:
    """Returns what the stages before the training found, which are told."""
    backbone = extracting.load(cache, part_of(config, extracting.ModuleSettings))
    stages.done("backbone", backbone)
    how = part_of(config, extracting.ExtractionSettings)
    if config.fine_tune:
        tuning = part_of(config, cut_examples.FineTuningSettings)
        cut_examples.check(backbone, catalog, how.views, tuning)
    extraction = extracting.extract(catalog, backbone, cache, how)
    stages.done("extraction", extraction)
    catalog, extraction = _readable(catalog, extraction, stages)
    judging = part_of(config, evaluating.JudgingSettings)
    kept = FoundFiles(cache.folder)
    found = evaluating.find_copies(extraction.sets, catalog.labels, judging, kept)
    copies = stages.done("copies", found)
    asked = evaluating.other_vectors if config.label_issues_file else lambda *_: ()
    others = asked(extraction.sets, backbone.fingerprint, cache)
    unlabelled = None
    if waiting is not None:
        plain = replace(how, views=replace(how.views, count=0))
        unlabelled = extracting.extract(waiting, backbone, cache, plain)
    return Seen(catalog, backbone, extraction, copies, others, unlabelled)


def _readable(
    catalog: Catalog, extraction: Extraction, stages: Stages
) -> tuple[Catalog, Extraction]:
    """Returns both without what cannot be read, which is told."""
    if extraction.unreadable:
        catalog, extraction = of_readable(catalog, extraction)
        stages.mend(catalog=catalog, extraction=extraction)
    return catalog, extraction
