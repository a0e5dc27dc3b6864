"""A finished classifier: written, read back, and proven on photos.

Each kind of file has a writer and a reader; `predictions` runs what was read on photo files,
`verification.verify` proves that it answers as the training did, `facts` is what a reader should
know, `versions` where a SavedModel goes.
"""
