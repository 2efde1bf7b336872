"""Products by either library are products."""

import pytest
import torch

from unlabel import products
from unlabel.products import product


@pytest.mark.parametrize("by_numpy", [True, False])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_a_product_of_any_layout(by_numpy: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(products, "_numpy_is_faster", lambda: by_numpy)
    monkeypatch.setattr(products, "LARGE", 0)
    a, b = torch.randn(5, 7, dtype=dtype, requires_grad=True), torch.randn(9, 7, dtype=dtype)
    for left, right in ((a, b.T), (a, b.T.contiguous()), (a[1:4, ::2], b[:, ::2].T), (a[:0], b.T)):
        made = product(left, right)
        assert made.dtype == dtype and not made.requires_grad
        torch.testing.assert_close(made, (left @ right).detach())


def test_the_library_depends_on_the_maker_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: True)
    for text, faster in (("vendor_id : GenuineIntel", False), ("vendor_id : AuthenticAMD", True), ("", True)):
        monkeypatch.setattr(products, "_maker", lambda text=text: text)
        assert products._numpy_is_faster.__wrapped__() is faster
    monkeypatch.setattr(torch.backends.mkl, "is_available", lambda: False)
    assert not products._numpy_is_faster.__wrapped__()
