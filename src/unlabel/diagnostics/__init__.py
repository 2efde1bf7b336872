"""What is happening inside? Numbers that need no labels, and a verdict in words.

spread       feature_std, mean_cosine, feature_norm: do different images get different embeddings, and how long?
spectrum     singular_values, covariance_spectrum, effective_rank, participation_ratio, spectral_decay, dimensions_for,
             directions_above, outline: how many directions are used?
lidar        lidar: how many of them tell images apart rather than views of one image?
hypersphere  alignment, uniformity, tolerance: do views agree, do images fill the sphere, do classes stay close?
stability    neighbour_stability, chance_stability: do images keep their neighbours?
codes        assignment_entropy, code_entropy, codes_used, largest_code: are prototypes used?
teacher      parameter_distance, embedding_divergence: how far is a teacher from its student?
loss_level   sits_at: is the loss where it is when learning failed?
measure      all numbers of one cloud of embeddings at once
verdict      what the numbers of a run amount to
classifier   what the accuracy of a classifier amounts to
"""

from unlabel.diagnostics.classifier import judge_classifier
from unlabel.diagnostics.codes import assignment_entropy, code_entropy, codes_used, largest_code, measure_codes
from unlabel.diagnostics.evidence import PROJECTION
from unlabel.diagnostics.hypersphere import alignment, tolerance, uniformity
from unlabel.diagnostics.lidar import lidar
from unlabel.diagnostics.loss_level import Level, sits_at
from unlabel.diagnostics.measure import measure
from unlabel.diagnostics.spectrum import (
    covariance_spectrum,
    decay_of,
    dimensions_for,
    directions_above,
    effective_rank,
    outline,
    participation_of,
    participation_ratio,
    rank_of,
    singular_values,
    spectral_decay,
)
from unlabel.diagnostics.spread import feature_norm, feature_std, healthy_std, mean_cosine
from unlabel.diagnostics.stability import chance_stability, kept_share, nearest, neighbour_stability
from unlabel.diagnostics.stopping import Stop, stop
from unlabel.diagnostics.teacher import embedding_divergence, parameter_distance
from unlabel.diagnostics.verdict import STATES, WRONG, Verdict, title, verdict

__all__ = [
    "PROJECTION",
    "STATES",
    "WRONG",
    "Level",
    "Stop",
    "Verdict",
    "alignment",
    "assignment_entropy",
    "chance_stability",
    "code_entropy",
    "codes_used",
    "covariance_spectrum",
    "decay_of",
    "dimensions_for",
    "directions_above",
    "effective_rank",
    "embedding_divergence",
    "feature_norm",
    "feature_std",
    "healthy_std",
    "judge_classifier",
    "kept_share",
    "largest_code",
    "lidar",
    "mean_cosine",
    "measure",
    "measure_codes",
    "nearest",
    "neighbour_stability",
    "outline",
    "parameter_distance",
    "participation_of",
    "participation_ratio",
    "rank_of",
    "singular_values",
    "sits_at",
    "spectral_decay",
    "stop",
    "title",
    "tolerance",
    "uniformity",
    "verdict",
]
