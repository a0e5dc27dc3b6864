"""Feature vectors → two dimensions, for people to look at.

What lies together in the vectors lies together in the picture, more or less: principal components
keep what differs most, t-SNE which photos are neighbours (L. van der Maaten and G. Hinton,
"Visualizing Data using t-SNE", 2008).
"""

from typing import Any

import numpy as np

from image_retraining.evaluation.sketch import principal
from image_retraining.foundation.records import Floats

PCA, TSNE, NONE = "pca", "tsne", "none"
PROJECTIONS = (PCA, TSNE, NONE)
# Those among which the two are found, as in near pairs.
_DIRECTIONS = 64
# t-SNE looks at so many principal components, as its authors do.
_COMPONENTS = 50
_PERPLEXITY = 30.0
# It needs three times as many photos as neighbours that it looks at.
_FEWEST = 4


def project(vectors: Floats, kind: str, *, seed: int) -> Floats:
    """Returns float32 [N, 2], of no unit.

    Args:
        vectors: float32 [N, D], N at least 2.
        kind: "pca" or "tsne"; few photos are always projected by the first.
        seed: of random draws.
    """
    if not np.ptp(vectors, axis=0).any():
        return np.zeros([len(vectors), 2], np.float32)
    if kind == TSNE and len(vectors) >= _FEWEST:
        points = _neighbours_kept(vectors, seed)
    else:
        points = _principal_components(vectors)
    if points.shape[1] == 1:
        points = np.column_stack([points, np.zeros(len(points))])
    return np.asarray(points[:, :2], np.float32)


def _principal_components(vectors: Floats) -> Any:
    """Returns float32 [N, 2], or [N, 1] where there are no two: scikit-learn's, nearly.

    It takes more than a second to import, and looks for them in the same way.
    """
    centred = vectors - vectors.mean(axis=0)
    basis = principal(centred, _DIRECTIONS)
    left, lengths, right = np.linalg.svd(centred @ basis, full_matrices=False)
    count = min(2, len(lengths))
    directions = right[:count] @ basis.T
    # A direction has no sign of its own; so its largest part is above 0, as scikit-learn has it.
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(count), largest])
    return left[:, :count] * lengths[:count] * signs


def _neighbours_kept(vectors: Floats, seed: int) -> Any:
    """Returns float32 [N, 2] of at least _FEWEST vectors."""
    # It takes more than a second to import.
    from sklearn import decomposition, manifold  # noqa: PLC0415

    count = min(_COMPONENTS, *vectors.shape)
    points = decomposition.PCA(count, random_state=seed).fit_transform(vectors)
    perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
    start = "pca" if count > 1 else "random"
    method = manifold.TSNE(perplexity=perplexity, init=start, random_state=seed)
    return method.fit_transform(points)
