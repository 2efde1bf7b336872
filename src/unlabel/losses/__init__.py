"""Losses: tensors in, a scalar out. No state, no parameters, no process group."""

from unlabel.losses.attention import attention_loss
from unlabel.losses.hypersphere import align_uniform, alignment, uniformity
from unlabel.losses.info_nce import info_nce, nt_xent
from unlabel.losses.masked import masked_mse
from unlabel.losses.matched import nt_xent_matched, with_negative
from unlabel.losses.nce import nce
from unlabel.losses.pairs import drlim, mined_triplets, n_pair, pairwise, triplet
from unlabel.losses.patchnce import patch_nce
from unlabel.losses.queue_nce import queue_nce
from unlabel.losses.regression import cosine_regression
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
    "cosine_regression",
    "dcl",
    "dclw",
    "debiased",
    "drlim",
    "flat_nce",
    "hard_contrastive",
    "hard_negatives",
    "info_nce",
    "masked_mse",
    "mined_triplets",
    "n_pair",
    "nce",
    "nt_xent",
    "nt_xent_matched",
    "pairwise",
    "patch_nce",
    "queue_nce",
    "simple_contrastive",
    "sinkhorn",
    "soft_cross_entropy",
    "swapped_cross_entropy",
    "triplet",
    "uniformity",
    "with_negative",
]
