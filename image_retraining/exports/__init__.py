"""A finished classifier: written, read back, and proven on photos.

`formats.open_classifier` reads one of any format, by its content; `formats.FORMATS` is the table of
them, `format` what each has to do, `classifier` what each gives. `predictions` runs a classifier on
photo files, `verification.verify` proves that it answers as the training did, `facts` is what a
reader should know of it, `labels_file` its labels, `versions` where a SavedModel goes.
"""
