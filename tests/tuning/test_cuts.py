"""Where a network can be cut, and where it is."""

from dataclasses import replace
from pathlib import Path

import pytest
from conftest import save_module
from networks_made_here import COUNTS, loaded_network

from image_retraining.backbone.loading import load_backbone
from image_retraining.foundation.errors import SettingError
from image_retraining.tuning.cuts import Cut, chosen, cuts
from image_retraining.tuning.flow import Flow


@pytest.fixture(scope="module")
def flow(tmp_path_factory: pytest.TempPathFactory) -> Flow:
    return Flow(loaded_network(tmp_path_factory.mktemp("modules") / "network"))


def test_cuts_are_where_all_flows_through(flow: Flow) -> None:
    found = cuts(flow)
    # After: the first convolution, its bias, its ReLU; the sum, but nothing on the way that it goes
    # around; the second convolution, its bias, its ReLU; the means; the layer, its ReLU, and a
    # number that it is multiplied by.
    assert [one.shape for one in found] == [
        *[(8, 8, 4)] * 4,
        *[(4, 4, 5)] * 3,
        (5,),
        *[(6,)] * 3,
    ]
    assert [one.bytes_a_photo for one in found] == [512] * 4 + [160] * 3 + [10] + [12] * 3
    assert [one.below for one in found] == sorted({one.below for one in found})
    above = [sum(COUNTS[place:]) for place in (1, 2, 2, 3, 4, 5, 5, 5, 6, 6, 6)]
    assert [one.weights_above for one in found] == above
    assert [one.share_above for one in found] == pytest.approx([one / sum(COUNTS) for one in above])


@pytest.mark.parametrize(
    ("wanted", "place"),
    [
        # Of those with a third to 90% of 343 weights above: 235, 231, 231, 215 at 512 bytes, and no
        # other; the lowest.
        ("auto", 0),
        ("0", 0),
        ("0.99", None),
    ],
)
def test_a_cut_is_chosen(flow: Flow, wanted: str, place: int | None) -> None:
    found = cuts(flow)
    if place is None:
        with pytest.raises(SettingError, match="must be below some weights"):
            chosen(found, flow, wanted)
    else:
        assert chosen(found, flow, wanted) == found[place]


def test_a_share_of_the_nodes_takes_the_nearest(flow: Flow) -> None:
    found = cuts(flow)
    middle = (found[3].below + found[4].below) / 2
    assert chosen(found, flow, str(middle - 0.001)) == found[3]
    assert chosen(found, flow, str(middle + 0.001)) == found[4]


def test_a_tensor_goes_by_its_name(flow: Flow) -> None:
    for one in cuts(flow)[:6]:
        assert chosen(cuts(flow), flow, one.tensor) == one
        assert chosen(cuts(flow), flow, one.tensor.partition(":")[0]) == one


def test_all_is_from_the_photos_on(flow: Flow) -> None:
    cut = chosen(cuts(flow), flow, "all")
    assert cut == Cut(flow.input_name, (8, 8, 3), 0.0, sum(COUNTS), 1.0)


@pytest.mark.parametrize("wanted", ["nothing", ""])
def test_what_is_no_cut_is_told(flow: Flow, wanted: str) -> None:
    with pytest.raises(SettingError, match=r"--fine_tune=list shows them. Got .* none of 11\.$"):
        chosen(cuts(flow), flow, wanted)


@pytest.mark.parametrize("wanted", ["1", "1.5", "-0.1", "nan", "inf"])
def test_a_number_is_a_share(flow: Flow, wanted: str) -> None:
    with pytest.raises(SettingError, match=f"from 0 to below 1, if it is a number. Got {wanted}"):
        chosen(cuts(flow), flow, wanted)


@pytest.mark.parametrize(("wanted", "meant"), [("AUTO", "auto"), ("al", "all"), ("relu", "Relu")])
def test_what_may_be_meant_is_asked(flow: Flow, wanted: str, meant: str) -> None:
    with pytest.raises(SettingError, match=rf"none of 11\. Did you mean .*{meant}"):
        chosen(cuts(flow), flow, wanted)


def test_a_network_with_no_cut_below_its_weights_is_told_of_the_other_way(flow: Flow) -> None:
    above = [replace(one, weights_above=0) for one in cuts(flow)]
    with pytest.raises(SettingError, match=r"with weights above it.* --fine_tune=all trains it"):
        chosen(above, flow, "auto")


def test_a_module_without_weights_cannot_be_tuned(tmp_path: Path) -> None:
    import tensorflow as tf  # noqa: PLC0415 - of this test alone

    module = save_module(tmp_path / "m", lambda photos: tf.reduce_mean(photos, [1, 2]))
    flow = Flow(load_backbone(str(module)))
    for wanted in ("auto", "0.5", "all"):
        with pytest.raises(SettingError, match=r"--fine_tune (needs|must)"):
            chosen(cuts(flow), flow, wanted)
