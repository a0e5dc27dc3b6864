"""A classifier and a photo → where in the photo the evidence for a label is, as a picture.

`evidence.Evidence` explains, `feature_map` finds the map that it goes by, `heatmap.write` draws.
"""
