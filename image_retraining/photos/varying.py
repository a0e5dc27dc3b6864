"""Pixels → pixels that are moved, or of other colours: how photos are distorted, a promise."""

from typing import Any

import tensorflow as tf

# How light the eye sees red, green and blue: ITU-R BT.601.
_LUMA = (0.299, 0.587, 0.114)


def moved(image: Any, turn: Any, down: Any, right: Any, shear: Any) -> Any:
    """Returns float32 [H, W, 3] sheared, turned about its centre and moved, in this order.

    What lies outside the photo is filled by its nearest pixel. ImageProjectiveTransformV3 takes the
    way back, from where a pixel goes to where it comes from.
    """
    height, width = image.shape[:2]
    middle = tf.constant([(width - 1) / 2, (height - 1) / 2], tf.float32)
    cos, sin = tf.cos(turn), tf.sin(turn)
    # The inverse of [[cos, -sin], [sin, cos]] @ [[1, shear], [0, 1]]; x to the right, y down.
    back = tf.stack([tf.stack([cos + shear * sin, sin - shear * cos]), tf.stack([-sin, cos])])
    way = tf.stack([right * width, down * height])
    offset = middle - tf.linalg.matvec(back, middle + way)
    numbers = [*tf.unstack(back[0]), offset[0], *tf.unstack(back[1]), offset[1], 0.0, 0.0]
    found = tf.raw_ops.ImageProjectiveTransformV3(
        images=image[tf.newaxis],
        transforms=tf.stack(numbers)[tf.newaxis],
        output_shape=tf.constant([height, width]),
        fill_value=0.0,
        interpolation="BILINEAR",
        fill_mode="NEAREST",
    )
    return tf.ensure_shape(found[0], [height, width, 3])


def coloured(image: Any, contrast: Any, saturation: Any) -> Any:
    """Returns float32 [H, W, 3], from 0 up: other contrast, then another saturation."""
    mean = tf.reduce_mean(image, [0, 1])
    image = mean + (image - mean) * contrast
    grey = tf.tensordot(image, tf.constant(_LUMA), 1)[..., tf.newaxis]
    return tf.maximum(grey + (image - grey) * saturation, 0.0)
