"""What the numbers of a run amount to, in one sentence and one piece of advice.

The rules are asked in this order; the first that has its evidence speaks. D is the number of dimensions, n the
number of images measured; the margin of an accuracy p in % is 2 sqrt(v / n + s² v / 1875) points, with v = p (100 - p),
and no less than the least of 1, p / 4 and (100 - p) / 4. s = 1.8 against random weights, for two networks of random
weights differ by as much near 25 %, where v = 1875; s = 0 otherwise.

    diverging               the last loss, a reading or an embedding is not a finite number; or the loss (mean of the
                            last tenth of at least 20 lines) is above three times what it was in the first tenth, and
                            an evaluation with labels does not show that it learned
    learning, or
    not-better-than-identity   image translation: whether translations are closer to the target domain than inputs: the
                            Frechet distance by 5 %, and the kernel distance too
    too-short               neither an evaluation of embeddings nor three readings; or, where nothing of the two lines
                            below was found and labels do not show that it learned, fewer than 30 updates
    collapsed               the feature std is below 5 % of 1/sqrt(D), its healthy value, and below half of what the
                            untrained network had (some networks see all images from one narrow cone)
    dimensional-collapse    at most 3 % of the min(D, n - 1) possible directions carry 99 % of the variance, and fewer
                            than half as many as in untrained weights (simple images fill few directions of any network)
    loss-at-collapse        six readings (three of a finished run), and the loss is stuck at a value that it has where
                            learning failed (`loss_level`): it did not come down to it from 5 % above, as BYOL's does
                            where its task is solved; labels do not say that anything was learned
    not-better-than-random  labels: neither kNN nor the linear probe beats random weights by its margin; where that
                            was not compared: six readings, none better than the untrained network by the margin
    learning                labels: the evaluation beats random weights; or, where that was not compared, live kNN
                            gained a quarter of a margin: its mean over the last third of the readings, against the
                            third before (the same images are asked each time, so that is more than noise)
                            no labels: the loss fell by a fifth of what it fell in all in the last quarter of its lines,
                            or the effective rank still rises by 5 %
    plateau                 at least six readings without such a gain

The two collapses are looked for in the representations and, after them, in what the loss compares behind a projector,
where they begin. Many a healthy system is narrow there, so other evidence is asked for: half of that std, or that the
loss sits at a collapse value too; a participation ratio below 2, less than half of that with untrained weights, fewer
than 15 % as many directions as there that carry 99 % of the variance, and a loss that falls no more. Where the loss
is stuck at a collapse value, it is to blame, and its verdict speaks for the narrowness behind the projector. Labels
outvote both: embeddings whose neighbours beat random weights (live kNN: the mean of the last third of the readings, by
a margin) are not worthless, however narrow their cone.
Nothing is said that was not measured; without labels the sentence says that there were none.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from unlabel.diagnostics.evidence import Evidence, finite
from unlabel.diagnostics.loss_level import value_in_words
from unlabel.diagnostics.spread import healthy_std

STATES = (
    "learning",
    "plateau",
    "collapsed",
    "dimensional-collapse",
    "diverging",
    "loss-at-collapse",
    "not-better-than-random",
    "not-better-than-identity",
    "too-short",
)
"""What a verdict may say, as a name for programs; `Verdict.title` is what people read."""

WRONG = tuple(state for state in STATES if state not in ("learning", "plateau", "too-short"))
"""Those that say that something has failed."""

_TITLES = {"collapsed": "complete collapse", "loss-at-collapse": "loss at collapse"}

COLLAPSED = 0.05  # of the healthy standard deviation
FEW = 0.03  # of the directions
FEW_IN_LOSS = 2.0  # directions
FEWER_IN_LOSS = 0.15  # of those with untrained weights
CLOSER = 0.05  # of the distance of untouched inputs
LEAST_READINGS, ENOUGH_READINGS = 3, 6
LEAST_UPDATES = 30
_UNMEASURED = "there are no labels, so how useful the embeddings are was not measured"
_GO_ON = "Let it go on."
_LOOK = "Look at the nearest neighbours in the report, or evaluate on a few labelled images."


@dataclass(frozen=True)
class Verdict:
    """state: one of STATES; sentence: what was found, with its numbers; advice: what to do now."""

    state: str
    sentence: str
    advice: str

    @property
    def title(self) -> str:
        """The state in words: "complete collapse"."""
        return title(self.state)

    @property
    def clause(self) -> str:
        """The sentence as it stands after the title and a colon: "every image has the same embedding (std 0.001)"."""
        return self.sentence[:1].lower() + self.sentence[1:]


def title(state: str) -> str:
    """One of STATES in words; of another version's, its name without hyphens."""
    return _TITLES.get(state, state.replace("-", " "))


def verdict(
    history: Sequence[dict[str, Any]],
    *,
    final: dict[str, Any] | None,
    finished: bool,
    collapse_values: Mapping[str, float] | None = None,
) -> Verdict:
    """Judge a run by what was measured; the rules are those of the module.

    history   lines of metrics.jsonl, in order: loss lines {"update", "loss", ...} and readings {"update", "monitor":
              {"std", "mean_cosine", "effective_rank", "dimensions"?, "dimensions_99"?, "images"?, "knn"? in %, and the
              same of what the loss compares as "projection_std"? and so on}}
    final     the numbers of evaluation.json, if it was evaluated
    finished  whether training has come to its end
    collapse_values  of the method (`Method.collapse_values`): they add to sentences of collapses, and where a loss
              sits at one although no collapse was found, that is the verdict
    """
    evidence = Evidence(history, final, finished, collapse_values)
    rules = (_diverging, _translation, _too_short, _collapsed, _narrow, _begun, _stuck, _useless, _better)
    return next((found for rule in rules if (found := rule(evidence)) is not None), None) or _trend(evidence)


def _diverging(e: Evidence) -> Verdict | None:
    advice = "Lower the learning rate or lengthen the warm-up, and train in full precision if it was mixed."
    broken = int(e.final.get("non_finite") or 0)
    if broken:
        return Verdict("diverging", f"{broken:,} embeddings are not finite numbers: the weights have diverged.", advice)
    if e.losses and not finite(e.losses[-1]):
        return Verdict(
            "diverging", f"The loss is not a finite number at the last of {len(e.losses):,} entries.", advice
        )
    if not e.evaluated and e.readings and not finite(e.readings[-1].get("std")):
        return Verdict("diverging", f"The embeddings at update {e.updates[-1]:,} are not finite numbers.", advice)
    known = [float(loss) for loss in e.losses if finite(loss)]
    tenth = len(known) // 10
    if tenth >= 2:
        first, last = fmean(known[:tenth]), fmean(known[-tenth:])
        if first > 0 and last > 3 * first and not e.proven:
            sentence = f"The loss rose: on average it is {last:.4g} of late, and was {first:.4g} at first."
            return Verdict("diverging", sentence, advice)
    return None


def _translation(e: Evidence) -> Verdict | None:
    found = e.final.get("translation")
    if not isinstance(found, dict) or e.evaluated or not finite(found.get("closer")):
        return None
    before, after = found["identity"]["fd"], found["translation"]["fd"]
    numbers = f"Frechet distance {after:.4g} to the target domain, against {before:.4g} for untouched inputs"
    agree = not finite(kid := found["translation"].get("kid")) or kid < found["identity"]["kid"]
    if found["closer"] >= CLOSER and agree:
        advice = "Look at the translations in the report: a distance does not see whether the content was kept."
        return Verdict("learning", f"Translations are {100 * found['closer']:.0f} % closer ({numbers}).", advice)
    advice = "Train longer, and look at the translations in the report for what goes wrong."
    sentence = f"Translations are no closer than the inputs were, or hardly ({numbers})."
    return Verdict("not-better-than-identity", sentence, advice)


def _too_short(e: Evidence) -> Verdict | None:
    if e.evaluated or len(e.readings) >= LEAST_READINGS:
        return None
    count = len(e.readings)
    many = "one reading" if count == 1 else f"{count or 'no'} readings"
    advice = "Evaluate the run." if e.finished else "Wait for more readings."
    return Verdict("too-short", f"There is too little to judge by: {many} of training and no evaluation.", advice)


def _collapsed(e: Evidence) -> Verdict | None:
    for where, shape, untrained in e.clouds:
        share, before = _spread(shape), _spread(untrained)
        if share is None or share >= COLLAPSED or e.vindicated:
            continue
        if where and (e.uniform or (share >= COLLAPSED / 2 and e.level is None)):
            continue
        if before is not None and share > before / 2:
            continue
        then = "" if before is None else f", {_percent(before)} with untrained weights"
        std = shape.get("std")
        shown = f" (std {_small(std)})" if finite(std) else ""
        return Verdict(
            "collapsed",
            f"Every image has the same embedding{where}{shown}: {_percent(share)} of the healthy "
            f"value{then}{_level(e)}.",
            "Stop, more training will not undo it: lower the learning rate, raise the batch size or use the defaults.",
        )
    return None


def _spread(shape: dict[str, Any]) -> float | None:
    """The feature std as a share of its healthy value, or the most that the mean cosine allows it to be."""
    width, std, cosine = (shape.get(name) for name in ("dimensions", "std", "mean_cosine"))
    if finite(width) and finite(std):
        return std / healthy_std(int(width))
    # The variances of unit vectors add up to 1 - |mean|², so std sqrt(D) is at most this.
    return math.sqrt(max(0.0, 1 - cosine)) if finite(cosine) else None


def _narrow(e: Evidence) -> Verdict | None:
    for where, shape, untrained in e.clouds:
        width, images, few = (shape.get(name) for name in ("dimensions", "images", "dimensions_99"))
        if not finite(width) or not finite(few) or e.vindicated:
            continue
        possible = min(width, images - 1) if finite(images) else width
        before = untrained.get("dimensions_99")
        begin, numbers = "", f"{few:.0f} of {width:,.0f} dimensions carry 99 % of the variance"
        numbers += f" of {images:,.0f} images" if finite(images) and possible < width else ""
        if where:
            ratio, begun = shape.get("participation_ratio"), untrained.get("participation_ratio")
            if not finite(ratio) or ratio >= FEW_IN_LOSS or (finite(begun) and ratio >= begun / 2):
                continue
            if e.stuck or e.loss_falls or few >= FEWER_IN_LOSS * (before if finite(before) else possible):
                continue
            begin = f"{where.strip().capitalize()}, "
            numbers += f" and few of these much of it (participation ratio {ratio:.1f})"
        elif few > max(1.0, FEW * possible) or (finite(before) and few >= before / 2):
            continue
        numbers += f", {before:.0f} with untrained weights" if finite(before) else ""
        return Verdict(
            "dimensional-collapse",
            f"{begin}{numbers}{_level(e)}.",
            "Try weaker augmentations, a lower learning rate or a projector on top of the backbone.",
        )
    return None


def _begun(e: Evidence) -> Verdict | None:
    if e.last is None or e.last >= LEAST_UPDATES:
        return None
    if e.proven:
        return None
    leads = e.leads("random")
    sentence = f"There is too little to judge by: {e.last} update{'' if e.last == 1 else 's'} of training"
    sentence += f", after which it is not better than random weights: {_scores(e, leads)}." if leads else "."
    return Verdict("too-short", sentence, "Train longer." if e.finished else "Wait for more readings.")


def _stuck(e: Evidence) -> Verdict | None:
    least = LEAST_READINGS if e.finished else ENOUGH_READINGS
    if not e.stuck or e.level is None or e.vindicated or not (e.evaluated or len(e.readings) >= least):
        return None
    leads, knn = e.leads("random"), e.knn
    if leads:
        beside = f"on {e.queries:,} images with labels it is not better than random weights, {_scores(e, leads)}"
    elif knn:
        beside = f"kNN went from {knn[0]:.1f} % to {knn[-1]:.1f} % in {len(knn)} readings"
    else:
        beside = f"the embeddings have {_shape(e)}, and {_UNMEASURED}"
    return Verdict(
        "loss-at-collapse",
        f"The loss sits at {value_in_words(e.level.value)}: {e.level.where}; {beside}.",
        "Change the learning rate or the temperature by a factor of three, or go back to the method's defaults.",
    )


def _useless(e: Evidence) -> Verdict | None:
    leads, knn = e.leads("random"), e.knn
    if leads:
        if e.proven:
            return None
        sentence = f"On {e.queries:,} images with labels it is not better than random weights: {_scores(e, leads)}."
    else:
        if len(knn) < ENOUGH_READINGS or e.updates[0] != 0 or max(knn[1:]) - knn[0] > e.read_margin:
            return None
        sentence = (
            f"In {len(knn)} readings kNN never beat the untrained network by more than noise "
            f"({knn[0]:.1f} % untrained, {max(knn[1:]):.1f} % at best, margin {e.read_margin:.1f})."
        )
    return Verdict(
        "not-better-than-random",
        sentence,
        "Train longer, or change the learning rate by a factor of three; check that the views suit the images.",
    )


def _better(e: Evidence) -> Verdict | None:
    """Labels and controls, and better than random weights: the rule before has seen to that."""
    leads, pixels = e.leads("random"), e.leads("pixels")
    if not leads:
        return None
    behind = bool(pixels) and max(pixels.values()) <= 0
    begin = "It learned" if e.finished else "It is learning"
    sentence = f"{begin}{' little' if behind else ''}: on {e.queries:,} images with labels, {_scores(e, leads)}"
    if leads.get("knn", 1.0) <= 0:
        sentence += "; nearest neighbours do not show it, the linear probe does"
    if behind:
        return Verdict(
            "learning", f"{sentence}; raw pixels do as well.", "Train longer before you rely on this backbone."
        )
    if not e.finished:
        return Verdict("learning", f"{sentence}.", _GO_ON)
    if len(e.knn) < ENOUGH_READINGS:
        advice = "Use the backbone; to know whether a longer run pays, compare two lengths."
    elif e.still_rising:
        advice = "Use the backbone; it was still improving towards the end, so a longer run may well be better."
    else:
        advice = "Use the backbone; the last third brought little, so change the method or the data, not the length."
    return Verdict("learning", f"{sentence}.", advice)


def _trend(e: Evidence) -> Verdict:
    """What the readings of training say when there is no comparison with controls."""
    if len(e.readings) < LEAST_READINGS:
        knn = e.score("knn", "run")
        sentence = f"The embeddings have {_shape(e)}, but there are too few readings of training to see a trend"
        sentence += f"; {_UNMEASURED}" if knn is None else f", and no control for its kNN of {knn:.1f} %"
        return Verdict("too-short", f"{sentence}.", _LOOK)
    return _labelled_trend(e) if e.knn else _unlabelled_trend(e)


def _labelled_trend(e: Evidence) -> Verdict:
    knn, margin = e.knn, e.read_margin
    rise = f"kNN went from {knn[0]:.1f} % to {knn[-1]:.1f} % in {len(knn)} readings"
    go_on = "Evaluate it against its controls." if e.finished else _GO_ON
    if len(knn) < ENOUGH_READINGS:
        if max(knn[1:]) - knn[0] > margin:
            return Verdict("learning", f"{rise}.", go_on)
        sentence = f"{rise}, which the noise of {margin:.1f} points could explain."
        return Verdict("too-short", sentence, "Train longer." if e.finished else "Wait for more readings.")
    if max(knn) - knn[-1] > margin:
        best = f"{max(knn):.1f} % at update {e.updates[knn.index(max(knn))]:,}"
        sentence = f"Safe to stop: kNN has fallen to {knn[-1]:.1f} % from {best}."
        return Verdict("plateau", sentence, "Lower the learning rate, or plan fewer epochs so that it decays sooner.")
    gain = f"{e.late_gain:+.1f} points in the last third of them"
    if e.still_rising:
        return Verdict("learning", f"{rise}, {gain}.", go_on)
    sentence = f"Safe to stop: {rise}, but has stopped rising: {gain}, where noise is {margin / 4:.1f}."
    return Verdict("plateau", sentence, "Stop here, or change something other than the length of training.")


def _unlabelled_trend(e: Evidence) -> Verdict:
    ranks, quarters = e.column("effective_rank"), e.loss_quarters
    facts = []
    if quarters is not None:
        start, _, end = quarters
        near = "" if e.level is None else f" (near its value where {e.level.where})"
        facts.append(f"the loss went from {start:.4g} to {end:.4g}{near}")
    shrunk = bool(ranks) and ranks[-1] < ranks[0] / 2
    rising = bool(ranks) and ranks[-1] > 1.05 * ranks[len(ranks) // 2]
    facts.append(
        f"the effective rank fell from {_number(ranks[0])} to {_number(ranks[-1])}"
        if shrunk
        else f"the embeddings have {_shape(e)}"
    )
    sentence = " and ".join(facts)
    sentence = f"{sentence[0].upper()}{sentence[1:]}; {_UNMEASURED}."
    if e.loss_falls or rising or (e.loss_fell and e.finished):
        watch = "Watch the effective rank: if it goes on falling, the embeddings are collapsing."
        return Verdict("learning", sentence, watch if shrunk else _LOOK if e.finished else _GO_ON)
    if len(e.readings) < ENOUGH_READINGS:
        return Verdict("too-short", sentence, "Train longer." if e.finished else "Wait for more readings.")
    advice = "Neither loss nor effective rank improves any more: stop here, or change the learning rate."
    return Verdict("plateau", f"Safe to stop: {sentence[0].lower()}{sentence[1:]}", advice)


def _scores(e: Evidence, names: Sequence[str] | dict[str, float]) -> str:
    titles = {"knn": "kNN", "linear": "linear probe"}
    parts = []
    for name in names:
        text = f"{titles[name]} {e.score(name, 'run'):.1f} % against {e.score(name, 'random'):.1f} % for random weights"
        pixels = e.score(name, "pixels")
        parts.append(text if pixels is None else f"{text} and {pixels:.1f} % for raw pixels")
    return ", ".join(parts)


def _shape(e: Evidence) -> str:
    """Effective rank and mean cosine in words."""
    rank, width, cosine = (e.latest.get(name) for name in ("effective_rank", "dimensions", "mean_cosine"))
    before = e.untrained.get("effective_rank")
    of = f" of {width:,.0f}" if finite(width) else ""
    of += f" ({_number(before)} untrained)" if finite(before) else ""
    parts = [f"effective rank {_number(rank)}{of}"] if finite(rank) else []
    parts += [f"mean cosine {cosine:.2f}"] if finite(cosine) else []
    return " and ".join(parts) or "no measured shape"


def _level(e: Evidence) -> str:
    """That the loss agrees, where it does."""
    if e.level is None:
        return ""
    return f"; the loss sits at {value_in_words(e.level.value)}, its value where {e.level.where}"


def _small(std: float) -> str:
    return f"{std:.3f}" if std >= 0.0005 else f"{std:.1g}"


def _number(value: int | float) -> str:
    return f"{value:.1f}" if value < 10 else f"{value:,.0f}"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"
