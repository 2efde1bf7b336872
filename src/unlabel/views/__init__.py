"""How one image becomes what a method looks at: recipes, the drawing of records, and their rendering."""

from unlabel.views.batch import Batch
from unlabel.views.batched import prepare_renderer, render_batch
from unlabel.views.crops import Objects
from unlabel.views.differences import DIFFERENCES, differences
from unlabel.views.geometry import Bins, bins, same_places
from unlabel.views.lit import lit
from unlabel.views.named import NAMES, evaluation, named
from unlabel.views.recipe import IMAGENET_MEAN, IMAGENET_STD, LARGE, Background, RandomMask, Recipe, View
from unlabel.views.render import render
from unlabel.views.rgb import as_rgb
from unlabel.views.saliency import render_saliency
from unlabel.views.sample import RECORD, boxes, least_sizes, rescaled, sample, sample_all, sample_masks

__all__ = [
    "DIFFERENCES",
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "LARGE",
    "NAMES",
    "RECORD",
    "Background",
    "Batch",
    "Bins",
    "Objects",
    "RandomMask",
    "Recipe",
    "View",
    "as_rgb",
    "bins",
    "boxes",
    "differences",
    "evaluation",
    "least_sizes",
    "lit",
    "named",
    "prepare_renderer",
    "render",
    "render_batch",
    "render_saliency",
    "rescaled",
    "same_places",
    "sample",
    "sample_all",
    "sample_masks",
]
