"""One run at a time computes the vectors of an image folder by a recipe; others wait, then read.

A lock costs nobody a vector: whoever has waited looks again at what is missing. It ends with the
process that holds it, however that ends. Where a file cannot be locked, runs go on without:
computing a vector twice does no harm but to time.
"""

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import astuple, replace
from pathlib import Path

from absl import logging

from image_retraining.cache.vectors import Recipe
from image_retraining.foundation.lock import lock
from image_retraining.foundation.log_lines import notice


@contextlib.contextmanager
def computing_alone(folder: Path | None, image_dir: str, recipe: Recipe) -> Iterator[None]:
    """Keeps other runs from computing the same meanwhile; waits for one that does, and says so.

    Args:
        folder: the cache's; None for one in memory, which no other run can read.
        image_dir: the photos.
        recipe: of the photos themselves; their views are computed along with them.
    """
    with contextlib.ExitStack() as held:
        if folder is not None:
            try:
                held.callback(lock(_path(folder, image_dir, recipe), _telling_once()))
            except (OSError, NotImplementedError) as error:
                logging.info(
                    "%s cannot be locked (%s). Runs at the same time may compute photos twice.",
                    folder,
                    error,
                )
        yield


def _path(folder: Path, image_dir: str, recipe: Recipe) -> Path:
    fields = (os.path.realpath(image_dir), *astuple(replace(recipe, view="")))
    digest = hashlib.sha256("\n".join(map(str, fields)).encode(errors="surrogateescape"))
    return folder / f"computing-{digest.hexdigest()[:16]}.lock"


def _telling_once() -> Callable[[str], None]:
    """Returns what says of each other holder who it is."""
    told = ""

    def tell(holder: str) -> None:
        nonlocal told
        if holder != told:
            notice(
                "Waiting for another run, which is computing these bottlenecks (%s), until it has "
                "finished or died.",
                holder,
            )
            told = holder

    return tell
