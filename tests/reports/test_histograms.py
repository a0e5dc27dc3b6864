import numpy as np
import pytest
from tensorboard.plugins.histogram.summary_v2 import histogram_pb

from image_retraining.foundation.records import Floats
from image_retraining.reports.histograms import histogram

_DRAWN = np.random.default_rng(0).standard_normal([200, 7]).astype(np.float32)


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize(
    "values",
    [
        _DRAWN,
        _DRAWN * np.float32(1e30),
        _DRAWN.clip(-0.5, 0.5),
        np.array([0.1, 0.2], np.float32),
        np.arange(31, dtype=np.float32),
        np.array([0, 1e-45], np.float32),
        np.full([3, 2], 0.5, np.float32),
        np.array([7], np.float32),
        np.empty([0, 4], np.float32),
        np.array([1, np.nan, 2], np.float32),
        np.array([1, np.inf, 2], np.float32),
        np.array([-3e38, 3e38], np.float32),
    ],
)
def test_it_is_what_tensorboard_makes_of_them(values: Floats) -> None:
    found, wanted = histogram("weights", values), histogram_pb("weights", values)
    assert found.SerializeToString() == wanted.SerializeToString()
