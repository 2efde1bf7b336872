import numpy as np
import timm
import torch
from torch import nn

from tests.evaluation.pictures import Bars
from tests.evaluation.test_objects import Sees
from unlabel.data.shapes import Shapes
from unlabel.evaluation.components import principal_colours
from unlabel.evaluation.inside import look_inside, some
from unlabel.nn import backbones
from unlabel.nn.attention_map import last_attention
from unlabel.views import evaluation

VIEW = evaluation(32, (0.5,) * 3, (0.5,) * 3)


def test_the_images_depend_on_the_seed_alone_and_unreadable_ones_are_passed_over() -> None:
    index, x = some(Bars(40), VIEW, seed=3)
    again, same = some(Bars(40), VIEW, seed=3)
    assert x.shape == (8, 3, 32, 32) and len(set(index)) == 8
    assert np.array_equal(index, again) and torch.equal(x, same)
    assert not np.array_equal(index, some(Bars(40), VIEW, seed=4)[0])
    broken = tuple(int(i) for i in index[:3])
    others, _ = some(Bars(40, broken=broken), VIEW, seed=3)
    assert len(others) == 8 and not set(others) & set(broken) and list(others[:5]) == list(index[3:])
    assert len(some(Bars(5), VIEW, seed=0)[0]) == 5


def test_a_transformer_has_attention_and_no_grad_cam() -> None:
    vit = backbones.build(backbones.resolve("tiny_vit", 32)).eval()
    seen = look_inside(vit, Shapes(20), VIEW, seed=0)
    assert seen.heat is None and "heat" in seen.absent and seen.asks == "class token"
    with torch.no_grad():
        torch.testing.assert_close(seen.attention, last_attention(vit, seen.x))
    assert seen.attention.shape == (8, 3, 8, 8) and seen.colours.shape == (8, 3, 8, 8)


def test_a_transformer_of_another_kind_shows_the_same() -> None:
    shape = {"img_size": 32, "patch_size": 8, "depth": 1, "embed_dim": 48, "num_heads": 2, "num_classes": 0}
    seen = look_inside(timm.create_model("beit_base_patch16_224", **shape).eval(), Shapes(20), VIEW, seed=0)
    assert seen.attention.shape == (8, 2, 4, 4) and seen.colours.shape == (8, 3, 4, 4) and set(seen.absent) == {"heat"}
    assert seen.asks == "patches"


def test_convolutions_have_grad_cam_and_no_attention() -> None:
    seen = look_inside(Sees(8), Shapes(20), VIEW, seed=0)
    assert seen.attention is None and "instead" in seen.absent["attention"] and seen.asks == ""
    assert seen.heat.shape == (8, 8, 8) and seen.heat.min() == 0 and seen.heat.max() == 1
    torch.testing.assert_close(seen.colours, principal_colours(Sees(8).forward_features(seen.x)))
    assert (seen.colours[:, 1:] == 0.5).all()  # its second map never varies


def test_a_network_without_maps_says_so_in_three_sentences() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 4))
    seen = look_inside(network, Shapes(20), VIEW, seed=0)
    assert (seen.attention, seen.heat, seen.colours) == (None, None, None)
    assert set(seen.absent) == {"attention", "heat", "colours"}


def test_a_network_that_diverged_has_nothing_to_draw() -> None:
    network = backbones.build(backbones.resolve("tiny_vit", 32)).eval()
    nn.init.constant_(network.blocks[0].mlp.fc1.weight, torch.nan)
    seen = look_inside(network, Shapes(20), VIEW, seed=0)
    assert seen.attention is None and seen.colours is None
    assert "finite" in seen.absent["attention"] and "finite" in seen.absent["colours"]


def test_no_readable_image_is_no_look() -> None:
    assert look_inside(Sees(), Bars(3, broken=(0, 1, 2)), VIEW, seed=0) is None
