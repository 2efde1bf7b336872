"""View policies: options of a run that change where any method's views are cut, and what is behind their objects.

Departures
    Moments at which regions are looked for are shares of the training, where ContrastiveCrop's are numbers of epochs.
    A policy changes where views are cut and nothing else of them: colours, scales and the plan stay the method's own.
    Swapped backgrounds give a hard negative only to methods that take one.
"""

from dataclasses import replace
from itertools import count, takewhile

from unlabel.engine.run import Run
from unlabel.errors import Fault
from unlabel.views import Background, Recipe, View

RANDOM = ("random_resized", "contrastive", "salient")
"""Crops that a policy may replace by each other."""

CENTRAL = (0.25, 0.25, 0.75, 0.75)
"""SimCCrop's region: the central half of each side (Peng et al., arXiv 2202.03278, section 3.4)."""


def with_policies(recipe: Recipe, run: Run, *, negatives: bool) -> Recipe:
    """The recipe as the run's options `crops` and `background` have it.

    negatives: whether the method takes hard negatives.  Fault for views without random crops, or of two domains.
    """
    if run.crops != "auto":
        if not any(view.crop in RANDOM for view in recipe.views):
            raise Fault(
                f"crops `{run.crops}` replace random crops, and these views have none: leave out the option `crops`"
            )
        recipe = replace(recipe, views=tuple(_cropped(view, run) for view in recipe.views))
    if run.background == "none":
        return recipe
    if recipe.sources > 1:
        raise Fault("backgrounds are changed in images of one domain: leave out the option `background`")
    negative = negatives and run.background == "swap"
    return replace(recipe, background=Background(kind=run.background, share=run.background_share, negative=negative))


def _cropped(view: View, run: Run) -> View:
    if view.crop not in RANDOM:
        return view
    match run.crops:
        case "contrastive":
            return replace(view, crop="contrastive", crop_alpha=run.crop_alpha)
        case "central":
            return replace(view, crop="contrastive", crop_alpha=run.crop_alpha, crop_region=CENTRAL)
        case "salient":
            return replace(view, crop="salient", crop_cover=run.crop_cover)
        case _:
            return replace(view, crop="random_resized")


def refreshes(run: Run, updates: int) -> list[int]:
    """After which of a training's updates regions of interest are looked for; empty where no crops ask for them."""
    if run.crops != "contrastive":
        return []
    shares = takewhile(lambda share: share < 1, (run.crop_warmup + n * run.crop_interval for n in count()))
    return sorted({moment for share in shares if (moment := max(1, round(share * updates))) < updates})
