"""What is computed once and kept: one SQLite file, described in docs/cache.md.

`opening.open_cache` gives the cache of a folder. In it are feature vectors (`vectors`, a promise),
files whose contents are known (`known_files`) and frozen modules (`frozen_modules`). `database` is
the file itself, `schema` its tables, `upkeep` what --cache_info and --cache_prune do. Needs no
TensorFlow.
"""
