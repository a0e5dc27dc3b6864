"""What a fine-tuning learns from: settings, and photos as they are at the cut."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from image_retraining.backbone.loading import Backbone
from image_retraining.cache.vectors import BottleneckCache
from image_retraining.features.engines.choice import choose_engine
from image_retraining.features.extraction import extract
from image_retraining.features.work import Computation
from image_retraining.foundation.errors import PhotoError, SettingError
from image_retraining.foundation.log_lines import notice
from image_retraining.foundation.records import Catalog, FeatureSet, Head, Split
from image_retraining.photos.distortions import NO_VIEWS, Views
from image_retraining.retraining import extracting
from image_retraining.tuning.activations import Activations, trunk_backbone
from image_retraining.tuning.cuts import ALL, Cut, chosen, cuts
from image_retraining.tuning.flow import Flow
from image_retraining.tuning.pictures import Pictures
from image_retraining.tuning.trainer import Examples

SETS = (Split.TRAINING, Split.VALIDATION)
_GIGABYTE = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class FineTuningSettings:
    """How to fine-tune; each field as the setting of that name."""

    fine_tune: str
    fine_tune_epochs: int
    fine_tune_learning_rate: float
    fine_tune_weight_decay: float
    fine_tune_patience: int
    fine_tune_batch_size: int
    fine_tune_max_gb: float
    label_smoothing: float
    class_weight: str
    seed: int
    checkpoint_path: str
    resume: bool


@dataclass(frozen=True, slots=True)
class Classifier:
    """A network and its head, with what they make of the photos.

    Attributes:
        catalog: the photos, which can be read.
        backbone: the network.
        sets: their feature vectors, of those that are learnt from and judged by.
        head: what answers by these.
    """

    catalog: Catalog
    backbone: Backbone
    sets: Mapping[Split, FeatureSet]
    head: Head


def cut_of(backbone: Backbone, settings: FineTuningSettings) -> tuple[Flow, Cut]:
    """Returns what flows through a network, and where it is to be cut.

    Raises:
        SettingError: it cannot be cut there.
    """
    flow = Flow(backbone)
    return flow, chosen(cuts(flow), flow, settings.fine_tune)


def check(backbone: Backbone, catalog: Catalog, views: Views, settings: FineTuningSettings) -> None:
    """Checks that a network can be cut, and that there is room, before anything is computed.

    Raises:
        PhotoError: there is no validation photo.
        SettingError: it cannot, or there is not.
    """
    counts = Counter(record.split for record in catalog.records)
    check_validation(counts[Split.VALIDATION])
    _room(cut_of(backbone, settings)[1], counts, views, settings)


def check_validation(count: int) -> None:
    """Raises PhotoError unless there are photos that say whether a network got better."""
    if not count:
        raise PhotoError(
            "--fine_tune needs validation photos, to say whether the network got better. Got none. "
            "Add photos, or raise --validation_percentage."
        )


def say_room(
    cut: Cut,
    counts: Mapping[Split, int],
    how: extracting.ExtractionSettings,
    settings: FineTuningSettings,
) -> None:
    """Says what the activations take on disk, before they do.

    Raises:
        SettingError: it is more than they may.
    """
    if settings.fine_tune == ALL:
        notice("Fine-tuning all weights: each epoch sends all photos through the whole network")
        return
    photos, total = _room(cut, counts, how.views, settings)
    notice(
        "Fine-tuning above %s, where %.0f%% of the weights are: %.1f kB a photo, %.3g GB of "
        "--bottleneck_dir for %d photos and views",
        cut.tensor,
        cut.share_above * 100,
        cut.bytes_a_photo / 1000,
        total,
        photos,
    )


def _room(
    cut: Cut, counts: Mapping[Split, int], views: Views, settings: FineTuningSettings
) -> tuple[int, float]:
    """Returns how many photos and views have activations, and how many GB these take."""
    photos = sum(counts[split] for split in SETS) + views.count * counts[Split.TRAINING]
    total = photos * cut.bytes_a_photo / _GIGABYTE
    if settings.fine_tune != ALL and total > settings.fine_tune_max_gb:
        raise SettingError(
            "--fine_tune must not take more of the disk than --fine_tune_max_gb, "
            f"{settings.fine_tune_max_gb:g} GB. Got {total:.3g} GB, for {photos} photos and views "
            f"of {cut.bytes_a_photo} bytes at {cut.tensor}. Take fewer --distortion_views, a cut "
            "of fewer bytes (--fine_tune=list shows them), or more of the disk."
        )
    return photos, total


def examples(
    before: Classifier,
    flow: Flow,
    cut: Cut,
    cache: BottleneckCache,
    how: extracting.ExtractionSettings,
) -> tuple[Examples, Examples]:
    """Returns what is learnt from, and judged by, of which the activations are computed."""
    training, validation = (before.sets[split] for split in SETS)
    plain = replace(how.views, count=0)
    if cut.tensor == flow.input_name:
        size = before.backbone.image_size
        return Pictures(training, how.views, size), Pictures(validation, plain, size)
    engine = replace(choose_engine(how.bottleneck_engine, "float32"), in_halves=True)
    trunk = trunk_backbone(before.backbone, flow, cut)
    paths = {path for photos in (training, validation) for path in photos.paths}
    records = tuple(record for record in before.catalog.records if record.path in paths)
    extract(
        replace(before.catalog, records=records),
        trunk,
        cache,
        engine=engine,
        views=how.views,
        fail_on_bad_image=True,
    )
    recipe = Computation(trunk, engine, NO_VIEWS).recipe
    return (
        Activations(training, how.views, cache, recipe, cut.shape),
        Activations(validation, plain, cache, recipe, cut.shape),
    )
