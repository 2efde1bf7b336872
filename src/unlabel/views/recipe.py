"""What a method looks at, as plain values: a `Recipe` is several `View`s of every image, and perhaps a mask.

Nothing here draws or renders: `sample` turns a `View` into records, `render` turns records into pixels.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from unlabel.errors import Fault

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

STEPS = ("crop", "flip", "jitter", "grey", "blur", "solarise")
MOST = 8
"""So many strong operations a record has room for."""

LARGE = 2
"""Of several views the first two are large, and targets are made of them alone; what follows are small crops."""


@dataclass(frozen=True, kw_only=True)
class View:
    """How one view of an image is drawn and rendered. Every probability is per image.

    size             output side in pixels
    crop             "random_resized": a box of random area and aspect, resized to `size`
                     "contrastive": likewise, with its middle at the edges of a region of interest
                     "salient": likewise, with its middle near an object, of which it shows a share
                     "pad":    reflect-pad by `pad` pixels, random crop of `size`
                               (the image is first resized to size x size where it is not of that size)
                     "load":   resize to load_size x load_size, random crop of `size`
                     "centre": the largest central square, resized to `size` (what evaluation sees)
                     "cell":   a random part of one cell of a box that all "cell" views of an image share, resized
    scale, ratio     ranges of the box's share of the image's area, and of its width / height
    grid, cell       of "cell": the rows and columns that the shared box is cut into, and which of their cells is seen,
                     counted row by row from 0
    cell_share       of "cell": how much of each side of the cell is seen, at a random place
    crop_alpha       of "contrastive" crops: the middle is Beta(alpha, alpha) between the edges of the region
    crop_region      their region (top, left, bottom, right) in fractions of the image; None: each image has its own
    crop_cover       of "salient" crops: the share of the object that they show at least
    interpolation    how pixels are resized, always antialiased
    pad_p            probability that a "pad" crop lies anywhere but on the image itself
    flip             probability of a left-right flip
    flip_of          the number of an earlier view of the recipe, whose draw decides about this view's flip too; None: a
                     draw of its own
    jitter           strengths of (brightness, contrast, saturation, hue), applied in a random order with
                     probability `jitter_p`; None = never
    grey             probability of dropping the colour
    blur             probability of a Gaussian blur, its sigma uniform in `blur_sigma` (output pixels)
    solarise         probability of inverting every value from one half upwards
    strong           how many operations of `unlabel.views.strong` are drawn, each taken half the time, for the picture
                     in 8 bits after all other steps
    order            the order of the steps; a step that it leaves out never happens
    mean, std        per channel, of pixels in [0, 1]; the rendered tensor is (pixel - mean) / std. Their number is that
                     of the images' channels, any from 1 up; saturation, hue and grey exist for three (RGB) only
    source           which data source (domain) the view looks at
    transform        a transform of the user's own in place of all of the above except `size` and `source`: PIL image
                     in, normalised float tensor [3, size, size] out, so RGB only. It draws from the global random
                     generators (seeded for each image): such views are rendered in the calling thread only
    """

    size: int
    crop: Literal["random_resized", "contrastive", "salient", "pad", "load", "centre", "cell"] = "random_resized"
    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    grid: tuple[int, int] = (3, 3)
    cell: int = 0
    cell_share: float = 64 / 85
    pad: int = 4
    pad_p: float = 1.0
    load_size: int | None = None
    crop_alpha: float = 0.1
    crop_region: tuple[float, float, float, float] | None = None
    crop_cover: float = 0.2
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"
    flip: float = 0.5
    flip_of: int | None = None
    jitter: tuple[float, float, float, float] | None = None
    jitter_p: float = 0.8
    grey: float = 0.0
    blur: float = 0.0
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarise: float = 0.0
    strong: int = 0
    order: tuple[str, ...] = STEPS
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    source: int = 0
    transform: Callable | None = None

    def __post_init__(self) -> None:
        for name in ("pad_p", "flip", "jitter_p", "grey", "blur", "solarise"):
            if not 0.0 <= getattr(self, name) <= 1.0:
                raise Fault(f"a view's `{name}` is a probability, in [0, 1], not {getattr(self, name)}")
        for name, least in (("scale", 0.0), ("ratio", 0.0), ("blur_sigma", 0.0)):
            low, high = getattr(self, name)
            if not least < low <= high < math.inf:
                raise Fault(f"a view's `{name}` is a range of positive numbers (low, high), not ({low}, {high})")
        if self.scale[1] > 1.0:
            raise Fault(f"a view's `scale` is a share of the image's area, at most 1, not {self.scale[1]}")
        if not 0 <= self.strong <= MOST:
            raise Fault(f"a view's `strong` operations are at most {MOST}, not {self.strong}")
        if self.size < 2:
            raise Fault(f"a view's `size` must be at least 2 pixels, not {self.size}")
        if self.crop == "pad" and not 0 <= self.pad < self.size:
            raise Fault(f"reflecting {self.pad} pixels needs a view larger than that, not `size` {self.size}")
        if self.crop == "load" and (self.load_size is None or self.load_size < self.size):
            raise Fault(f"a view with crop `load` needs a `load_size` of at least its `size` {self.size}")
        if min(self.grid) < 1 or not 0 <= self.cell < self.grid[0] * self.grid[1]:
            raise Fault(f"a view's `cell` is one of its `grid` of {self.grid}, counted from 0, not {self.cell}")
        if not 0.0 < self.cell_share <= 1.0:
            raise Fault(f"a view's `cell_share` is a share of a side, above 0 and at most 1, not {self.cell_share}")
        if self.jitter is not None and (min(self.jitter) < 0.0 or self.jitter[3] > 0.5):
            raise Fault(f"a view's `jitter` strengths are at least 0, the hue's at most 0.5, not {self.jitter}")
        if self.crop_alpha <= 0.0 or not 0.0 <= self.crop_cover <= 1.0:
            raise Fault(
                f"a view's `crop_alpha` must be above 0 and `crop_cover` in [0, 1], not {self.crop_alpha} and "
                f"{self.crop_cover}"
            )
        if self.crop_region is not None and not _is_box(self.crop_region):
            raise Fault(f"a view's `crop_region` is (top, left, bottom, right) in fractions, not {self.crop_region}")
        if self.crop in ("contrastive", "salient") and (self.source != 0 or self.transform is not None):
            raise Fault(f"a view with crop `{self.crop}` looks at source 0, with no `transform` of its own")
        if len(set(self.order)) != len(self.order) or not set(self.order) <= set(STEPS):
            raise Fault(f"a view's `order` names some of {', '.join(STEPS)}, each once, not {self.order}")
        if self.order[:1] != ("crop",):
            raise Fault("a view's `order` starts with `crop`, since every later step works on the cropped pixels")
        if not 0 < len(self.mean) == len(self.std) or min(self.std, default=0.0) <= 0.0:
            raise Fault(f"a view's `mean` and positive `std` are one number per channel, not {self.mean}, {self.std}")
        if self.channels != 3 and (self.grey or any((self.jitter or (0,) * 4)[2:])):
            raise Fault(
                f"saturation, hue and `grey` need RGB images, and this view's have {self.channels} channels: "
                "set the last two strengths of `jitter` and `grey` to 0, or take `for_channels`"
            )

    @property
    def channels(self) -> int:
        """C, how many channels images must have."""
        return len(self.mean)

    def for_channels(self, channels: int) -> "View":
        """This view for images of another number of channels: without the steps that need RGB.

        Each channel is normalised by mean 1/2 and standard deviation 1/4: ImageNet's numbers are for RGB.
        """
        if channels == self.channels:
            return self
        jitter = self.jitter and (*self.jitter[:2], 0.0, 0.0)
        return replace(self, mean=(0.5,) * channels, std=(0.25,) * channels, jitter=jitter, grey=0.0)

    @property
    def boxed(self) -> bool:
        """Whether the crop is a box of the image as it is; else it lies in an image that was resized first."""
        return self.crop not in ("pad", "load")

    @property
    def blur_kernel(self) -> int:
        """Side of the blur's window: about a tenth of the view's, odd, at least 3 (23 at 224 px, as SimCLR)."""
        return 2 * max(1, self.size // 20) + 1


@dataclass(frozen=True, kw_only=True)
class RandomMask:
    """Hide a share `ratio` of the cells of a grid (rows, columns), at random, as many in every image."""

    ratio: float
    grid: tuple[int, int]

    def __post_init__(self) -> None:
        if not 1 <= self.masked <= self.cells - 1:
            rows, columns = self.grid
            raise Fault(
                f"masking {self.ratio:g} of a {rows} x {columns} grid hides {self.masked} of {self.cells} patches; "
                "at least one must be hidden and one seen: change the ratio or use more patches"
            )

    @property
    def cells(self) -> int:
        """N, the number of cells of the grid."""
        return self.grid[0] * self.grid[1]

    @property
    def masked(self) -> int:
        """The number of hidden cells: ratio x N, rounded (truncating can leave no cell seen: N = 10, ratio 0.9)."""
        return round(self.ratio * self.cells)


@dataclass(frozen=True, kw_only=True)
class Background:
    """What is put behind the objects of source 0's images before they are cropped, where an object is known.

    kind      "remove": one level of grey, drawn for each view
              "random": the background of another image, drawn for each view
              "swap":   the same for all views of an image or for none, and of different images for the first view and
                        the others; with `negative` also a hard negative: another object on the first view's background
    share     probability that it is done to a view ("swap": to an image)
    negative  whether hard negatives are rendered

    Ryali, Schwab, Morcos, arXiv 2103.12719.
    """

    kind: Literal["remove", "random", "swap"]
    share: float = 0.2
    negative: bool = False

    def __post_init__(self) -> None:
        if not 0.0 <= self.share <= 1.0:
            raise Fault(f"the `share` of images that get another background is in [0, 1], not {self.share}")
        if self.negative and self.kind != "swap":
            raise Fault("hard negatives belong to backgrounds that are swapped")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """All that a method sees of an image.

    views       in order
    mask        that of masked image modelling
    salient     whether the maps of salient objects come with the views
    background  what is put behind the objects
    """

    views: tuple[View, ...]
    mask: RandomMask | None = None
    salient: bool = False
    background: Background | None = None

    def __post_init__(self) -> None:
        if not self.views:
            raise Fault("a recipe needs at least one view")
        for k, view in enumerate(self.views):
            of = view.flip_of
            if of is None:
                continue
            if not 0 <= of < k or self.views[of].flip_of is not None or self.views[of].source != view.source:
                raise Fault(f"view {k} takes the flip of view {of}: that must be an earlier one which draws its own")
        if self.looks_at_objects and any(view.transform is not None for view in self.views):
            raise Fault(
                "a `transform` of your own does not tell where it cuts, and this recipe's objects must follow it"
            )

    @property
    def sources(self) -> int:
        """How many data sources the views look at."""
        return 1 + max(view.source for view in self.views)

    @property
    def crops_objects(self) -> bool:
        """Whether crops are drawn by where objects are; images in which nothing stands out are then of no use."""
        return any(view.crop == "salient" for view in self.views)

    @property
    def looks_at_objects(self) -> bool:
        """Whether it takes to know where the salient objects are."""
        return self.salient or self.crops_objects or self.background is not None


def _is_box(box: tuple[float, float, float, float]) -> bool:
    top, left, bottom, right = box
    return 0.0 <= top <= bottom <= 1.0 and 0.0 <= left <= right <= 1.0
