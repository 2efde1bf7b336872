"""What a network says of places, as colours: the first three principal components are red, green and blue."""

import numpy as np
import torch
from jaxtyping import Float
from sklearn.decomposition import PCA
from torch import Tensor

_CLIPPED = (2.0, 98.0)  # per cent of places below black, below full colour: a few outlying places do not grey the rest
_ROUNDING = 1e-4  # of the largest feature: a component with a smaller range is rounding, not contents


def principal_colours(features: Float[Tensor, "b d r s"]) -> Float[Tensor, "b 3 r s"]:
    """Places of several images together, projected on their first three principal components: values in [0, 1].

    features  [B, D, rows, columns], finite numbers (ValueError otherwise)

    Equal places get equal colours, in all images. A component that does not vary, or that fewer than three dimensions
    do not have, is 1/2 everywhere. Signs are fixed: the entry of a component that is largest in size is positive.
    Oquab et al., DINOv2, TMLR 2024, arXiv 2304.07193, figure 1.
    """
    b, d, rows, columns = features.shape
    x = features.permute(0, 2, 3, 1).reshape(-1, d).double().cpu().numpy()  # [N, D]
    if not np.isfinite(x).all():
        raise ValueError("places with values that are no finite numbers have no principal components")
    colours = np.full((len(x), 3), 0.5)
    least = _ROUNDING * np.abs(x).max()
    if np.ptp(x, axis=0).max() > least:
        pca = PCA(min(3, *x.shape), svd_solver="covariance_eigh" if len(x) >= d else "full")
        for i, values in enumerate(pca.fit_transform(x).T):
            if np.ptp(values) > least:
                colours[:, i] = _stretched(values)
    return torch.from_numpy(colours).float().view(b, rows, columns, 3).permute(0, 3, 1, 2)


def _stretched(values: np.ndarray) -> np.ndarray:
    """From 0 to 1, all but the outermost ones; where these are the only ones that differ, they count too."""
    low, high = np.percentile(values, _CLIPPED)
    if not high > low:
        low, high = values.min(), values.max()
    return ((values - low) / (high - low)).clip(0.0, 1.0)
