"""How good, how sure, and which photos are odd. Needs no TensorFlow.

`metrics.measure` tells how a head does class by class, `calibration.calibrate` how sure it may be,
`copies.find` which photos are one and the same, `wrong_labels.find` which labels look wrong.
"""
