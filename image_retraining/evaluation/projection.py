"""Feature vectors → two dimensions, for people to look at.

What lies together in the vectors lies together in the picture, more or less: principal components
keep what differs most, t-SNE which photos are neighbours (L. van der Maaten and G. Hinton,
"Visualizing Data using t-SNE", 2008).
"""

import numpy as np

from image_retraining.foundation.records import Floats

PCA, TSNE, NONE = "pca", "tsne", "none"
PROJECTIONS = (PCA, TSNE, NONE)
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
    # Both take most of a second to import.
    from sklearn import decomposition, manifold  # noqa: PLC0415

    if not np.ptp(vectors, axis=0).any():
        return np.zeros([len(vectors), 2], np.float32)
    count = min(_COMPONENTS if kind == TSNE else 2, *vectors.shape)
    points = decomposition.PCA(count, random_state=seed).fit_transform(vectors)
    if kind == TSNE and len(vectors) >= _FEWEST:
        perplexity = min(_PERPLEXITY, (len(vectors) - 1) / 3)
        start = "pca" if count > 1 else "random"
        method = manifold.TSNE(perplexity=perplexity, init=start, random_state=seed)
        points = method.fit_transform(points)
    if points.shape[1] == 1:
        points = np.column_stack([points, np.zeros(len(points))])
    return np.asarray(points[:, :2], np.float32)
