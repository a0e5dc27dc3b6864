"""The tables of the cache file, version after version, and the checksum of their rows: a promise.

docs/cache.md describes them. Whoever changes them adds a script that brings files of
the version before up to date, for they hold what took people weeks to compute.
"""

import zlib
from typing import Any

_SCHEMA_1 = """
CREATE TABLE recipes (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL,
    height INTEGER NOT NULL,
    width INTEGER NOT NULL,
    pixels INTEGER NOT NULL,
    precision TEXT NOT NULL,
    view TEXT NOT NULL,
    UNIQUE (fingerprint, height, width, pixels, precision, view)
);
CREATE TABLE bottlenecks (
    recipe_id INTEGER NOT NULL REFERENCES recipes (id),
    photo BLOB NOT NULL,
    crc INTEGER NOT NULL,
    vector BLOB NOT NULL,
    PRIMARY KEY (recipe_id, photo)
);
CREATE TABLE files (
    path BLOB PRIMARY KEY,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    ctime_ns INTEGER NOT NULL,
    photo BLOB NOT NULL
) WITHOUT ROWID;
"""
_FROM_1_TO_2 = """
DELETE FROM bottlenecks WHERE typeof(photo) != 'blob' OR typeof(vector) != 'blob'
    OR recipe_id NOT IN (SELECT id FROM recipes);
ALTER TABLE bottlenecks ADD COLUMN used_day INTEGER NOT NULL DEFAULT 0;
UPDATE bottlenecks SET used_day = strftime('%s', 'now') / 86400, crc = (
    SELECT checksum(fingerprint, height, width, pixels, precision, view, photo, vector)
    FROM recipes WHERE id = recipe_id
) WHERE crc = crc32(vector);
ALTER TABLE files ADD COLUMN inode INTEGER NOT NULL DEFAULT 0;
CREATE TABLE modules (
    fingerprint TEXT NOT NULL,
    freezing INTEGER NOT NULL,
    asked_size TEXT NOT NULL,
    handle TEXT NOT NULL,
    crc INTEGER NOT NULL,
    description TEXT NOT NULL,
    sample BLOB NOT NULL,
    graph BLOB NOT NULL,
    PRIMARY KEY (fingerprint, freezing, asked_size)
);
CREATE TABLE claims (
    recipe_id INTEGER NOT NULL REFERENCES recipes (id),
    photo BLOB NOT NULL,
    run INTEGER NOT NULL,
    host TEXT NOT NULL,
    process INTEGER NOT NULL,
    started REAL NOT NULL,
    until REAL NOT NULL,
    PRIMARY KEY (recipe_id, photo)
) WITHOUT ROWID;
"""

_FROM_2_TO_3 = """
DROP TABLE claims;
"""

# What a file needs before it is looked at; NULL of files that nobody has asked.
_FROM_3_TO_4 = """
ALTER TABLE files ADD COLUMN preparation TEXT;
"""

# Photo files whose decoder warns, which whoever has their vectors is not told by decoding them.
_FROM_4_TO_5 = """
CREATE TABLE damages (
    photo BLOB PRIMARY KEY,
    warning TEXT NOT NULL,
    missing REAL NOT NULL,
    crc INTEGER NOT NULL
) WITHOUT ROWID;
"""

# Version → names of its tables.
TABLES = {
    1: {"recipes", "bottlenecks", "files"},
    2: {"recipes", "bottlenecks", "files", "modules", "claims"},
    3: {"recipes", "bottlenecks", "files", "modules"},
    4: {"recipes", "bottlenecks", "files", "modules"},
    5: {"recipes", "bottlenecks", "files", "modules", "damages"},
}
# SCHEMA_SCRIPTS[version] brings a file from that version to the next.
SCHEMA_SCRIPTS = (_SCHEMA_1, _FROM_1_TO_2, _FROM_2_TO_3, _FROM_3_TO_4, _FROM_4_TO_5)
SCHEMA_VERSION = len(SCHEMA_SCRIPTS)


def checksum(*key_and_vector: Any) -> int:
    """Returns the CRC-32 of a row of `bottlenecks`: of its key and its vector.

    It is taken over the fields of its recipe as UTF-8, each followed by a line feed, then over the
    photo's digest, then over the vector.

    Args:
        key_and_vector: the fields of the recipe, the digest, the vector.
    """
    *recipe, digest, vector = key_and_vector
    fields = "".join(f"{value}\n" for value in recipe).encode()
    return zlib.crc32(vector, zlib.crc32(digest, zlib.crc32(fields)))
