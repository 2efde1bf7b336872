"""What is happening inside? Numbers that need no labels, and a verdict in words.

spread       feature_std, mean_cosine: do different images get different embeddings?
spectrum     singular_values, covariance_spectrum, effective_rank, dimensions_for, directions_above: how many directions
             are used?
hypersphere  alignment, uniformity, tolerance: do views agree, do images fill the sphere, do classes stay close?
measure      all of them at once
verdict      what the numbers of a run amount to
classifier   what the accuracy of a classifier amounts to
"""

from unlabel.diagnostics.classifier import judge_classifier
from unlabel.diagnostics.evidence import PROJECTION
from unlabel.diagnostics.hypersphere import alignment, tolerance, uniformity
from unlabel.diagnostics.measure import measure
from unlabel.diagnostics.spectrum import (
    covariance_spectrum,
    dimensions_for,
    directions_above,
    effective_rank,
    rank_of,
    singular_values,
)
from unlabel.diagnostics.spread import feature_std, healthy_std, mean_cosine
from unlabel.diagnostics.verdict import STATES, Verdict, verdict

__all__ = [
    "PROJECTION",
    "STATES",
    "Verdict",
    "alignment",
    "covariance_spectrum",
    "dimensions_for",
    "directions_above",
    "effective_rank",
    "feature_std",
    "healthy_std",
    "judge_classifier",
    "mean_cosine",
    "measure",
    "rank_of",
    "singular_values",
    "tolerance",
    "uniformity",
    "verdict",
]
