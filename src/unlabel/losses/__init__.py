"""Losses: tensors in, a scalar out. No state, no parameters, no process group."""

from unlabel.losses.info_nce import info_nce, nt_xent
from unlabel.losses.masked import masked_mse
from unlabel.losses.patchnce import patch_nce
from unlabel.losses.regression import cosine_regression
from unlabel.losses.soft_cross_entropy import soft_cross_entropy, swapped_cross_entropy

__all__ = [
    "cosine_regression",
    "info_nce",
    "masked_mse",
    "nt_xent",
    "patch_nce",
    "soft_cross_entropy",
    "swapped_cross_entropy",
]
