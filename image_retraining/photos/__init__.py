"""A folder of photos → records, sets and pixels. Three promises live here.

`folder.scan` finds the photos of each class, by a `walk` through `class_folders`; `splits.split_of`
puts a file name into a set (a promise), where `split_folders` or `strata` do not; `pixels` turns a
file's contents into pixels (a promise), `distortions` into distorted views of them (a promise);
`batches` does so for many at a time; `header` tells a photo's size before it is decoded.
"""
