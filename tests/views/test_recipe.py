import pytest

from unlabel.errors import Fault
from unlabel.views import RandomMask, Recipe, View


def test_sources_counts_the_domains():
    assert Recipe(views=(View(size=8),)).sources == 1
    assert Recipe(views=(View(size=8), View(size=8, source=1))).sources == 2


@pytest.mark.parametrize("size, kernel", [(224, 23), (96, 9), (64, 7), (32, 3), (8, 3)])
def test_blur_window_is_a_tenth_of_the_side_and_odd(size, kernel):
    assert View(size=size).blur_kernel == kernel


@pytest.mark.parametrize(
    "wrong, word",
    [
        ({"flip": 1.5}, "flip"),
        ({"pad_p": -0.1}, "pad_p"),
        ({"grey": -0.1}, "grey"),
        ({"scale": (0.5, 0.2)}, "scale"),
        ({"scale": (0.0, 1.0)}, "scale"),
        ({"scale": (0.5, 1.2)}, "scale"),
        ({"ratio": (-1.0, 1.0)}, "ratio"),
        ({"blur_sigma": (0.0, 2.0)}, "blur_sigma"),
        ({"size": 1}, "size"),
        ({"strong": 9}, "strong"),
        ({"strong": -1}, "strong"),
        ({"crop": "pad", "pad": 32}, "reflecting"),
        ({"crop": "load"}, "load_size"),
        ({"crop": "load", "load_size": 31}, "load_size"),
        ({"crop": "cell", "cell": 9}, "`cell`"),
        ({"crop": "cell", "grid": (0, 3)}, "`grid`"),
        ({"crop": "cell", "cell_share": 0.0}, "`cell_share`"),
        ({"jitter": (0.4, 0.4, 0.4, 0.6)}, "jitter"),
        ({"order": ("crop", "flip", "flip")}, "order"),
        ({"order": ("crop", "invert")}, "order"),
        ({"order": ("flip", "crop")}, "order"),
        ({"mean": (0.5,), "std": (0.5, 0.5)}, "one number per channel"),
        ({"mean": (), "std": ()}, "one number per channel"),
        ({"std": (0.5, 0.0, 0.5)}, "positive `std`"),
        ({"mean": (0.5,), "std": (0.5,), "grey": 0.1}, "need RGB"),
        ({"mean": (0.5,), "std": (0.5,), "jitter": (0.4, 0.4, 0.0, 0.1)}, "need RGB"),
    ],
)
def test_impossible_views_are_refused(wrong, word):
    with pytest.raises(Fault, match=word):
        View(**({"size": 32} | wrong))


def test_a_view_for_other_channels_leaves_out_what_needs_rgb():
    view = View(size=32, jitter=(0.4, 0.3, 0.2, 0.1), grey=0.2, blur=0.5)
    assert view.for_channels(3) is view
    wide = view.for_channels(7)
    assert wide.channels == 7 and wide.jitter == (0.4, 0.3, 0.0, 0.0) and wide.grey == 0 and wide.blur == 0.5


def test_a_recipe_needs_a_view():
    with pytest.raises(Fault):
        Recipe(views=())


@pytest.mark.parametrize(
    "wrong",
    [
        (View(size=8, flip_of=0),),
        (View(size=8), View(size=8, flip_of=1)),
        (View(size=8), View(size=8, flip_of=-1)),
        (View(size=8), View(size=8, source=1, flip_of=0)),
        (View(size=8), View(size=8, flip_of=0), View(size=8, flip_of=1)),
    ],
)
def test_a_flip_is_taken_from_an_earlier_view_of_the_same_image(wrong):
    Recipe(views=(View(size=8), View(size=8, flip_of=0), View(size=8, flip_of=0)))
    with pytest.raises(Fault, match="takes the flip of view"):
        Recipe(views=wrong)


@pytest.mark.parametrize(
    "ratio, grid, masked", [(0.75, (8, 8), 48), (0.6, (8, 8), 38), (0.9, (2, 5), 9), (0.75, (14, 14), 147)]
)
def test_masked_cells_are_rounded(ratio, grid, masked):
    assert RandomMask(ratio=ratio, grid=grid).masked == masked


@pytest.mark.parametrize("ratio, grid", [(0.0, (8, 8)), (1.0, (8, 8)), (0.75, (1, 1)), (0.9, (2, 2)), (-0.5, (8, 8))])
def test_masks_that_hide_all_or_nothing_are_refused(ratio, grid):
    with pytest.raises(Fault, match="at least one"):
        RandomMask(ratio=ratio, grid=grid)
