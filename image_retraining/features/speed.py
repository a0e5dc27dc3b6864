"""How fast photos become feature vectors on this machine."""

import time
from collections.abc import Sequence

import numpy as np

from image_retraining.cache.frozen_modules import FrozenModule
from image_retraining.features.anew import computed_anew
from image_retraining.features.engines.choice import EngineChoice
from image_retraining.features.engines.engine import BATCH_SIZE

_WARM_UP = 8


def photos_per_second(
    paths: Sequence[str], backbone: FrozenModule, choice: EngineChoice, *, upright: bool
) -> float:
    """Returns how many photos a second are read, decoded and computed, without the cache.

    The engine and the decoder are made, and have been used, before.

    Args:
        paths: photos to try it on, at least one that can be read.
        backbone: the module.
        choice: which engine computes.
        upright: whether photos are turned as their EXIF orientation says.
    """
    engine = choice.make(backbone)
    engine(np.zeros([BATCH_SIZE, *backbone.image_size, 3], np.float32))
    # The decoder of this size is made, too.
    computed_anew(paths[:_WARM_UP], engine.image_size, lambda: engine, upright=upright)
    started = time.perf_counter()
    found = computed_anew(paths, engine.image_size, lambda: engine, upright=upright)
    return len(found) / (time.perf_counter() - started)
