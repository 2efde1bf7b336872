"""Losses: tensors in, a scalar out. No state, no parameters, no process group."""

from unlabel.losses.attention import attention_loss
from unlabel.losses.cross_correlation import cross_correlation
from unlabel.losses.cross_view import core_view, cross_view, full_graph
from unlabel.losses.distillation import distillation
from unlabel.losses.grid_nce import grid_nce
from unlabel.losses.hypersphere import align_uniform, alignment, uniformity
from unlabel.losses.info_nce import info_nce, nt_xent, nt_xent_of_crops
from unlabel.losses.instances import instance_discrimination
from unlabel.losses.inva_spread import inva_spread
from unlabel.losses.keys import key_info_nce, queue_info_nce, weak_to_strong
from unlabel.losses.local_nce import local_nce
from unlabel.losses.masked import masked_mse
from unlabel.losses.matched import nt_xent_matched, with_negative
from unlabel.losses.matching import matching
from unlabel.losses.nce import nce
from unlabel.losses.pairs import drlim, mined_triplets, n_pair, pairwise, triplet
from unlabel.losses.patchnce import patch_nce
from unlabel.losses.pixels import pixel_consistency, pixel_nce
from unlabel.losses.regression import cosine_regression, negative_cosine
from unlabel.losses.sinkhorn import sinkhorn
from unlabel.losses.soft_cross_entropy import soft_cross_entropy, swapped_cross_entropy
from unlabel.losses.two_views import (
    dcl,
    dclw,
    debiased,
    flat_nce,
    hard_contrastive,
    hard_negatives,
    simple_contrastive,
)

__all__ = [
    "align_uniform",
    "alignment",
    "attention_loss",
    "core_view",
    "cosine_regression",
    "cross_correlation",
    "cross_view",
    "dcl",
    "dclw",
    "debiased",
    "distillation",
    "drlim",
    "flat_nce",
    "full_graph",
    "grid_nce",
    "hard_contrastive",
    "hard_negatives",
    "info_nce",
    "instance_discrimination",
    "inva_spread",
    "key_info_nce",
    "local_nce",
    "masked_mse",
    "matching",
    "mined_triplets",
    "n_pair",
    "nce",
    "negative_cosine",
    "nt_xent",
    "nt_xent_matched",
    "nt_xent_of_crops",
    "pairwise",
    "patch_nce",
    "pixel_consistency",
    "pixel_nce",
    "queue_info_nce",
    "simple_contrastive",
    "sinkhorn",
    "soft_cross_entropy",
    "swapped_cross_entropy",
    "triplet",
    "uniformity",
    "weak_to_strong",
    "with_negative",
]
