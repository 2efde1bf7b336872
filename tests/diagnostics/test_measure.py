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
        "uniformity": diagnostics.uniformity(x),
        "effective_rank": pytest.approx(diagnostics.effective_rank(x)),
        "alignment": diagnostics.alignment(x, y),
    }


def test_it_is_cheap_enough_for_training():
    x = torch.randn(1000, 256)
    begun = time.process_time()
    diagnostics.measure(x)
    assert time.process_time() - begun < 5
