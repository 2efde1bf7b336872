"""How one image becomes what a method looks at: recipes, the drawing of records, and their rendering."""

from unlabel.views.batch import Batch
from unlabel.views.batched import prepare_renderer, render_batch
from unlabel.views.crops import Objects
from unlabel.views.named import NAMES, evaluation, named
from unlabel.views.recipe import IMAGENET_MEAN, IMAGENET_STD, Background, RandomMask, Recipe, View
from unlabel.views.render import render
from unlabel.views.rgb import as_rgb
from unlabel.views.saliency import render_saliency
from unlabel.views.sample import RECORD, boxes, least_sizes, rescaled, sample, sample_all, sample_masks

__all__ = [
    "IMAGENET_MEAN",
    "IMAGENET_STD",
    "NAMES",
    "RECORD",
    "Background",
    "Batch",
    "Objects",
    "RandomMask",
    "Recipe",
    "View",
    "as_rgb",
    "boxes",
    "evaluation",
    "least_sizes",
    "named",
    "prepare_renderer",
    "render",
    "render_batch",
    "render_saliency",
    "rescaled",
    "sample",
    "sample_all",
    "sample_masks",
]
