"""Photos and a backbone → feature vectors, those that the cache has and the rest computed.

`extraction.extract` is the door; `table` holds the vectors while they are gathered, `row_cache`
knows which cached vector is whose, `engines` compute.
"""
