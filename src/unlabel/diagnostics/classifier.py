"""What the accuracy of a classifier amounts to, beside the same network trained from scratch."""

from unlabel.diagnostics.evidence import SEEDS, margin
from unlabel.diagnostics.verdict import Verdict


def judge_classifier(
    accuracy: float, *, scratch: float | None, teacher: float | None, labelled: int, queries: int
) -> Verdict:
    """One sentence and one piece of advice.

    accuracy  top-1 in % on `queries` images
    scratch   that of the control: the same network from random weights, with the same labels and updates; None: unknown
    teacher   that of the network it learned from; None: there was none
    labelled  how many labels were used

    It must lead the control by two standard errors, of which the choice of a seed is part, and one point at least.
    """
    sentence = f"It classifies {accuracy:.1f} % of {queries:,} images (top-1)"
    if teacher is not None:
        sentence += f", its teacher {teacher:.1f} %"
    if scratch is None:
        advice = "Train its control too: leave `evaluate` on."
        return Verdict("too-short", f"{sentence}; what the same labels give from scratch was not measured.", advice)
    sentence += f"; the same network from scratch, with the same {labelled:,} labels and updates, {scratch:.1f} %."
    if accuracy - scratch > margin(max(accuracy, scratch), queries, SEEDS):
        return Verdict("learning", sentence, "Use it; more labels or a longer pre-training are the next things to try.")
    advice = "Pre-train longer or on more images, or try a lower learning rate, so that what was learned is kept."
    return Verdict("not-better-than-random", sentence, advice)
