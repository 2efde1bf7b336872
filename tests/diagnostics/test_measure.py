import time

import pytest
import torch

from unlabel import diagnostics


def test_it_says_what_the_functions_say():
    x, y = torch.randn(80, 12), torch.randn(80, 12)
    values = diagnostics.singular_values(x)
    assert diagnostics.measure(x, (x, y)) == {
        "images": 80,
        "dimensions": 12,
        "dimensions_99": diagnostics.dimensions_for(values, 0.99),
        "std": diagnostics.feature_std(x),
        "mean_cosine": diagnostics.mean_cosine(x),
        "norm": pytest.approx(float(x.norm(dim=1).mean())),
        "norm_std": diagnostics.feature_norm(x)[1],
        "uniformity": diagnostics.uniformity(x),
        "effective_rank": pytest.approx(diagnostics.effective_rank(x)),
        "participation_ratio": pytest.approx(diagnostics.participation_ratio(x)),
        "spectral_decay": pytest.approx(diagnostics.spectral_decay(x)),
        "alignment": diagnostics.alignment(x, y),
    }


def test_lidar_is_said_where_the_views_are_enough():
    x = torch.randn(20, 8)
    views = torch.randn(4, 3, 8)
    assert diagnostics.measure(x, views=views)["lidar"] == pytest.approx(diagnostics.lidar(views))
    assert "lidar" not in diagnostics.measure(x, views=views[:3])  # 3 x (3 - 1) < 8


def test_it_is_cheap_enough_for_training():
    x = torch.randn(1000, 256)
    begun = time.process_time()
    diagnostics.measure(x)
    assert time.process_time() - begun < 5
