"""A feature extractor built in code, for when there is no module: weak, honest, offline.

It answers a photo with how strongly edges of each orientation and scale show in the whole of it and
in the cells of grids (Gabor filters: Daugman, "Uncertainty relation for resolution in space,
spatial frequency, and orientation", 1985), relative to the other orientations there, and with the
mean and spread of its colours. Nothing in it is learnt.
"""

from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.records import Floats

IMAGE_SIZE = (96, 96)

_ORIENTATIONS = 8
# Wavelengths in pixels, each with a kernel large enough to hold two waves.
_WAVELENGTHS = (4.0, 8.0, 16.0)
_EDGE_GRIDS = (1, 2, 4)
_COLOUR_GRID = 4
# Luma, and two opponent colours: red-green and yellow-blue.
_COLOURS = np.array([[0.299, 0.5, 0.25], [0.587, -0.5, 0.25], [0.114, 0.0, -0.5]], np.float32)
# This brings the colours' spread near that of the edges.
_COLOUR_GAIN = 3.0
# Keeps the noise of plain surfaces from looking like edges.
_LEAST_ENERGY = 0.05


def features(images: Any) -> Any:
    """Returns float32 [N, D], the features of photos.

    Args:
        images: float32 [N, 96, 96, 3], RGB, 0 to 1.
    """
    colours = tf.nn.conv2d(images, _COLOURS[np.newaxis, np.newaxis], strides=1, padding="SAME")
    luma = colours[..., :1]
    # Light and contrast vary between photos of one thing; edges count relative to them.
    mean, variance = tf.nn.moments(luma, axes=[1, 2], keepdims=True)
    luma = (luma - mean) * tf.math.rsqrt(variance + 1e-3)
    parts = []
    for wavelength in _WAVELENGTHS:
        edges = tf.nn.conv2d(luma, _gabor_filters(wavelength), strides=2, padding="SAME")
        # Even and odd filters pair up to an energy that ignores the phase of the edge.
        even, odd = tf.split(edges, 2, axis=-1)
        energy = tf.sqrt(tf.square(even) + tf.square(odd) + 1e-6)
        for grid in _EDGE_GRIDS:
            parts += [_relative(_pooled(tf.nn.avg_pool2d, energy, grid))]
            parts += [_flat(_pooled(tf.nn.max_pool2d, energy, grid))]
    deviation = tf.square(colours - tf.reduce_mean(colours, axis=[1, 2], keepdims=True))
    means = _pooled(tf.nn.avg_pool2d, colours, _COLOUR_GRID)
    spreads = tf.sqrt(_pooled(tf.nn.avg_pool2d, deviation, _COLOUR_GRID) + 1e-6)
    parts += [_COLOUR_GAIN * _flat(means), _COLOUR_GAIN * _flat(spreads)]
    return tf.concat(parts, axis=1)


def _pooled(pool: Any, maps: Any, grid: int) -> Any:
    """Returns float32 [N, grid, grid, K], float32 [N, h, w, K] pooled in each cell of a grid."""
    cell = maps.shape[1] // grid
    return pool(maps, ksize=cell, strides=cell, padding="VALID")


def _relative(energies: Any) -> Any:
    """Returns float32 [N, cells * K]: the K energies of a cell relative to their mean."""
    mean = tf.reduce_mean(energies, axis=-1, keepdims=True)
    return _flat(energies / (mean + _LEAST_ENERGY))


def _flat(maps: Any) -> Any:
    _, height, width, channels = maps.shape
    return tf.reshape(maps, [-1, height * width * channels])


def _gabor_filters(wavelength: float) -> Floats:
    """Returns float32 [k, k, 1, 2 * orientations]: the even filters, then the odd ones."""
    reach = int(wavelength)
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    envelope = np.exp(-(x**2 + y**2) / (2 * (wavelength / 2) ** 2))
    angles = np.arange(_ORIENTATIONS) * np.pi / _ORIENTATIONS
    filters = []
    for phase in (0.0, np.pi / 2):
        for angle in angles:
            along = x * np.cos(angle) + y * np.sin(angle)
            wave = envelope * np.cos(2 * np.pi * along / wavelength + phase)
            wave -= envelope * wave.sum() / envelope.sum()
            filters.append(wave / np.abs(wave).sum())
    # The last bits of a cosine differ between processors, and the fingerprint would with them.
    rounded = np.round(np.stack(filters, axis=-1), 7) + 0.0
    return rounded[:, :, np.newaxis, :].astype(np.float32)
