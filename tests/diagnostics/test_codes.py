import math

import pytest
import torch
from scipy.stats import entropy

from unlabel.diagnostics import assignment_entropy, code_entropy, codes_used, largest_code, measure_codes


def test_entropies_are_those_of_scipy():
    p = torch.randn(40, 7, dtype=torch.float64).mul(3).softmax(dim=1)
    assert assignment_entropy(p) == pytest.approx(entropy(p.numpy(), axis=1).mean(), rel=1e-12)
    assert code_entropy(p) == pytest.approx(entropy(p.numpy().mean(axis=0)), rel=1e-12)
    assert assignment_entropy(p) < code_entropy(p) < math.log(7)  # entropy is concave


def test_sure_and_even():
    found = measure_codes(torch.eye(8).repeat(3, 1))
    assert found["assignment_entropy"] == 0 and found["code_entropy"] == pytest.approx(math.log(8))
    assert found["code_entropy_share"] == pytest.approx(1) and found["assignment_entropy_share"] == 0
    assert found["codes"] == found["codes_used"] == 8 and found["largest_code"] == pytest.approx(1 / 8)


def test_the_two_collapses():
    alike = measure_codes(torch.full((10, 16), 1 / 16))
    assert alike["assignment_entropy_share"] == pytest.approx(1) and alike["code_entropy_share"] == pytest.approx(1)
    one = measure_codes(torch.eye(16)[3].repeat(10, 1))
    assert one["assignment_entropy"] == one["code_entropy"] == 0
    assert one["codes_used"] == 1 and one["largest_code"] == 1


def test_counts_by_hand():
    p = torch.tensor([[0.6, 0.3, 0.1], [0.5, 0.1, 0.4], [0.1, 0.2, 0.7], [0.8, 0.1, 0.1]])
    assert codes_used(p) == 2 and largest_code(p) == 0.75


def test_a_single_prototype_has_no_share():
    found = measure_codes(torch.ones(4, 1))
    assert found["assignment_entropy"] == 0 and math.isnan(found["code_entropy_share"])


@pytest.mark.parametrize("p", [torch.randn(5, 3), torch.ones(5, 3), torch.empty(0, 3)], ids=["signs", "sums", "none"])
def test_what_is_no_probability_is_refused(p):
    with pytest.raises(ValueError, match="probabilities"):
        measure_codes(p)
