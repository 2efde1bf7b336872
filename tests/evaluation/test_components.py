import numpy as np
import pytest
import torch

from unlabel.evaluation.components import principal_colours


def planted(places: int = 40, d: int = 9) -> tuple[torch.Tensor, np.ndarray]:
    """Features [2, d, places / 2, 1] that vary along three directions only, and how much along each [places, 3]."""
    draw = np.random.default_rng(0)
    directions = np.linalg.qr(draw.normal(size=(d, 3)))[0]  # [d, 3]
    along = np.linalg.qr(draw.normal(size=(places, 3)))[0]
    along = (along - along.mean(axis=0)) * np.array([90.0, 9.0, 1.0])
    features = along @ directions.T + 5.0
    return torch.from_numpy(features).float().view(2, places // 2, 1, d).permute(0, 3, 1, 2), along


def test_planted_components_are_found_in_order() -> None:
    features, along = planted()
    colours = principal_colours(features).permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    inner = ((colours > 0) & (colours < 1)).all(axis=1)
    assert inner.sum() > 20
    for i in range(3):
        r = np.corrcoef(colours[inner, i], along[inner, i])[0, 1]
        assert abs(r) > 0.95, i


def test_it_agrees_with_eigenvectors_and_its_sign_is_fixed() -> None:
    """The entry of a component that is largest in size is positive; 2 % of places at each end are clipped."""
    x = torch.randn(3, 5, 4, 4, generator=torch.Generator().manual_seed(0)).double() * torch.tensor(
        [5.0, 3, 2, 1, 1]
    ).view(-1, 1, 1)
    rows = x.permute(0, 2, 3, 1).reshape(-1, 5).numpy()
    centred = rows - rows.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    colours = principal_colours(x.float()).permute(0, 2, 3, 1).reshape(-1, 3).numpy()
    for i in range(3):
        axis = axes[:, -1 - i]
        axis = axis * np.sign(axis[np.abs(axis).argmax()])
        values = centred @ axis
        low, high = np.percentile(values, (2, 98))
        np.testing.assert_allclose(colours[:, i], ((values - low) / (high - low)).clip(0, 1), atol=1e-4)
    torch.testing.assert_close(principal_colours(x.float() + 7), principal_colours(x.float()), atol=1e-3, rtol=0)


def test_constant_features_are_grey() -> None:
    assert (principal_colours(torch.full((2, 6, 3, 3), 4.2)) == 0.5).all()
    assert (principal_colours(torch.zeros(1, 1, 1, 1)) == 0.5).all()
    noise = 1e-7 * torch.randn(2, 6, 3, 3)
    assert (principal_colours(4.2 + noise) == 0.5).all()  # rounding is no contents


def test_fewer_dimensions_leave_the_other_colours_at_half() -> None:
    x = torch.randn(2, 2, 4, 4)
    colours = principal_colours(x)
    assert (colours[:, 2] == 0.5).all() and colours[:, :2].std() > 0.1
    one = torch.zeros(2, 8, 3, 3)
    one[0, 3, 1, 1] = 1.0  # a single place differs
    colours = principal_colours(one)
    assert colours[0, 0, 1, 1] == 1.0 and (colours[:, 1:] == 0.5).all()
    assert (colours[:, 0].flatten().sort().values[:-1] == 0).all()


def test_values_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        principal_colours(torch.full((1, 3, 2, 2), torch.nan))
