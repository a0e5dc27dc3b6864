"""What a cache folder holds, told to people; and old vectors deleted. Needs no TensorFlow."""

import os
import sys
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from absl import logging

from image_retraining.cache.database import CacheFile, Database
from image_retraining.cache.vectors import FILE_NAME, FINE_TUNED, IN_HALVES, today_number
from image_retraining.foundation.errors import SettingError
from image_retraining.foundation.text import aligned, shown

_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class _Kept:
    """The vectors of one recipe."""

    module: str
    fingerprint: str
    size: str
    precision: str
    count: int
    vector_bytes: int
    used_day: int


def care(folder: str, *, prune_days: int) -> None:
    """Deletes what was not used for long, if asked to, and prints what the cache holds.

    Args:
        folder: the cache folder.
        prune_days: vectors that were not used in so many days are deleted; -1 keeps all.

    Raises:
        SettingError: the folder has no cache.
        CacheError: the cache cannot be read, or not be written to, or is of a newer version.
    """
    path = Path(folder) / FILE_NAME
    # Unlike the method of Path, this raises nothing where the folder may not be entered.
    if not os.path.isfile(path):
        raise SettingError(
            f"--bottleneck_dir must hold a bottleneck cache. Got {folder}, which has no "
            f"{FILE_NAME}."
        )
    file = CacheFile(path)
    try:
        if prune_days >= 0:
            _prune(file, prune_days)
        sys.stdout.write(_description(file))
    finally:
        file.close()


def _prune(file: CacheFile, days: int) -> None:
    before = file.size
    # Before the first day there is nothing, and far before it no number for SQLite.
    oldest = max(0, today_number() - days)

    def delete(database: Database) -> int:
        deleted = database.execute("DELETE FROM bottlenecks WHERE used_day < ?", [oldest]).rowcount
        database.execute("DELETE FROM recipes WHERE id NOT IN (SELECT recipe_id FROM bottlenecks)")
        database.execute(
            "DELETE FROM modules WHERE fingerprint NOT IN (SELECT fingerprint FROM recipes)"
        )
        database.execute("DELETE FROM files WHERE photo NOT IN (SELECT photo FROM bottlenecks)")
        database.execute("DELETE FROM damages WHERE photo NOT IN (SELECT photo FROM files)")
        return int(deleted)

    deleted = file.write(delete)
    file.give_back_space()
    logging.info(
        "Deleted %d feature vectors that were not used in %d days; %.1f MB of disk space are free.",
        deleted,
        days,
        (before - file.size) / _MEGABYTE,
    )


def _description(file: CacheFile) -> str:
    kept = file.read(_kept)
    gone = file.read(_gone_photos)
    photo_count = file.read(lambda db: db.execute("SELECT COUNT(*) FROM files").fetchone()[0])
    lines = [f"{file}: {file.size / _MEGABYTE:.1f} MB on disk", ""]
    if kept:
        rows = [("Module", "Content", "Photos of", "Precision", "Vectors", "MB", "Last used")]
        rows += [
            (
                shown(str(one.module)),
                str(one.fingerprint)[:8],
                one.size,
                one.precision,
                str(one.count),
                f"{one.vector_bytes / _MEGABYTE:.1f}",
                _date(one.used_day),
            )
            for one in kept
        ]
        # The numbers, vectors and MB, go to the right.
        lines += [*aligned(rows, left=(0, 1, 2, 3, 6)), ""]
    count = sum(one.count for one in kept)
    lines += [f"Feature vectors: {count}", f"Photo files known: {photo_count}"]
    lines += [f"Photo files no longer on disk: {len(gone)}"]
    # Modules and folders are called as people, or what they have downloaded, call them.
    return "".join(f"{shown(line)}\n" for line in lines)


def _kept(database: Database) -> list[_Kept]:
    """Returns the recipes with vectors, the largest first; views of one distortion are one."""
    rows = database.execute(
        "SELECT (SELECT handle FROM modules WHERE modules.fingerprint = recipes.fingerprint), "
        "fingerprint, height || ' x ' || width, "
        "precision || CASE view WHEN '' THEN '' "
        "ELSE ', ' || SUBSTR(view, 1, INSTR(view || ' view=', ' view=') - 1) END AS kind, "
        "COUNT(*), SUM(LENGTH(vector)), MAX(used_day) "
        "FROM recipes JOIN bottlenecks ON recipe_id = id "
        "GROUP BY fingerprint, height, width, pixels, kind ORDER BY 6 DESC"
    )
    return [_Kept(handle or _unnamed(rest[2]), *rest) for handle, *rest in rows.fetchall()]


def _unnamed(precision: object) -> str:
    """Returns what stands in place of the name of a module that is not kept."""
    kind = str(precision)
    if IN_HALVES in kind:
        return "(activations)"
    return "(fine-tuned)" if FINE_TUNED in kind else "(unnamed)"


def _gone_photos(database: Database) -> list[bytes]:
    """Returns the paths of photo files that were read once and are no longer there."""
    paths = [path for (path,) in database.execute("SELECT path FROM files").fetchall()]
    return [path for path in paths if isinstance(path, bytes) and not os.path.lexists(path)]


def _date(day: int) -> str:
    try:
        return (date(1970, 1, 1) + timedelta(days=day)).isoformat()
    # In a damaged file this may be anything.
    except (OverflowError, TypeError):
        return "unknown"
