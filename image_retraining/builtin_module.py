"""A feature extractor built in code, for when there is no module: weak, honest, offline.

It answers a photo with how strongly edges of each orientation and scale show in each cell of a
grid (Gabor filters: Daugman, "Uncertainty relation for resolution in space, spatial frequency, and
orientation", 1985), and with the mean and spread of its colours there. Nothing in it is learnt.
"""

import hashlib
from typing import Any

import numpy as np
import tensorflow as tf

from image_retraining.records import Floats

IMAGE_SIZE = (96, 96)

_VERSION = b"builtin 1"
_ORIENTATIONS = 8
# Wavelengths in pixels, each with a kernel large enough to hold two waves.
_WAVELENGTHS = (4.0, 8.0, 16.0)
_GRID = 4
# Luma, and two opponent colours: red-green and yellow-blue.
_COLOURS = np.array([[0.299, 0.5, 0.25], [0.587, -0.5, 0.25], [0.114, 0.0, -0.5]], np.float32)
# These bring the features near the mean (0.35) and spread (0.6) of a MobileNet's, which is what
# the default learning rate was chosen for.
_EDGE_GAIN = 12.0
_COLOUR_GAIN = 3.0


def fingerprint() -> str:
    """Returns what tells this extractor's features from those of any other, hexadecimal."""
    content = hashlib.sha256(_VERSION)
    for wavelength in _WAVELENGTHS:
        content.update(_gabor_filters(wavelength).tobytes())
    return content.hexdigest()


def features(images: Any) -> Any:
    """Returns float32 [N, D], the features of photos.

    Args:
        images: float32 [N, 96, 96, 3], RGB, 0 to 1.
    """
    colours = tf.tensordot(images, tf.constant(_COLOURS), axes=1)
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
        parts += [_EDGE_GAIN * _on_grid(energy) / _ORIENTATIONS]
    parts += [_COLOUR_GAIN * _on_grid(colours)]
    parts += [_COLOUR_GAIN * tf.sqrt(_on_grid(tf.square(colours - _mean(colours))) + 1e-6)]
    return tf.concat(parts, axis=1)


def _mean(images: Any) -> Any:
    return tf.reduce_mean(images, axis=[1, 2], keepdims=True)


def _on_grid(maps: Any) -> Any:
    """Returns float32 [N, cells * K], the mean of float32 [N, h, w, K] in each cell of the grid."""
    cell = maps.shape[1] // _GRID
    pooled = tf.nn.avg_pool2d(maps, ksize=cell, strides=cell, padding="VALID")
    return tf.reshape(pooled, [-1, _GRID * _GRID * maps.shape[-1]])


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
    return np.stack(filters, axis=-1)[:, :, np.newaxis, :].astype(np.float32)
