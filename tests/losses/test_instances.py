"""Which image is it: the softmax over all, over some, and noise-contrastive estimation of it."""

import math

import pytest
import torch
import torch.nn.functional as F

from unlabel.losses import instance_discrimination

N, B, M, D, TAU = 12, 5, 7, 4, 0.2


def given(seed: int = 0) -> dict[str, torch.Tensor]:
    draw = torch.Generator().manual_seed(seed)
    vectors = F.normalize(torch.randn(N + B, D, generator=draw, dtype=torch.float64), dim=1)
    index = torch.randperm(N, generator=draw)[:B]
    return {"rows": vectors[:N], "z": vectors[N:], "index": index, "drawn": torch.randint(N, (M,), generator=draw)}


def test_without_a_draw_it_is_the_cross_entropy_over_all_images() -> None:
    made = given()
    expected = F.cross_entropy(made["z"] @ made["rows"].T / TAU, made["index"], reduction="none")
    found = instance_discrimination(made["z"], made["index"], made["rows"], temperature=TAU)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_with_features_for_rows_labels_are_the_identity() -> None:
    z = given()["rows"]
    found = instance_discrimination(z, torch.arange(N), z.clone(), temperature=TAU)
    expected = F.cross_entropy(z @ z.T / TAU, torch.arange(N), reduction="none")
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_with_a_draw_it_is_the_cross_entropy_over_the_own_and_the_drawn() -> None:
    made = given()
    own = (made["z"] * made["rows"][made["index"]]).sum(dim=1, keepdim=True)
    logits = torch.cat([own, made["z"] @ made["rows"][made["drawn"]].T], dim=1) / TAU
    expected = F.cross_entropy(logits, torch.zeros(B, dtype=torch.int64), reduction="none")
    torch.testing.assert_close(instance_discrimination(**made, temperature=TAU), expected, rtol=1e-12, atol=1e-12)


def test_with_a_normaliser_it_is_binary_cross_entropy_of_data_against_noise() -> None:
    """As the authors have it: P = e^s / Z, h = P / (P + m / n), logarithms of h and of 1 - h."""
    made, log_z = given(), torch.tensor(1.7, dtype=torch.float64)
    p_own = ((made["z"] * made["rows"][made["index"]]).sum(dim=1) / TAU - log_z).exp()
    p_noise = (made["z"] @ made["rows"][made["drawn"]].T / TAU - log_z).exp()
    h_own, h_noise = p_own / (p_own + M / N), p_noise / (p_noise + M / N)
    expected = -h_own.log() - (1 - h_noise).log().sum(dim=1)
    found = instance_discrimination(**made, temperature=TAU, log_z=log_z)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("m", "value"), [(10, 3.350997), (1, 2 * math.log(2))])
def test_values_where_all_is_alike(m: int, value: float) -> None:
    rows = F.normalize(torch.ones(N, D, dtype=torch.float64), dim=1)
    z, index, drawn = rows[:3], torch.tensor([0, 4, 9]), torch.arange(m) % N
    everything = {"z": z, "index": index, "rows": rows, "temperature": TAU}
    uniform = torch.tensor(1 / TAU + math.log(N), dtype=torch.float64)  # p = 1/n
    assert instance_discrimination(**everything, drawn=drawn, log_z=uniform).tolist() == pytest.approx(
        [value] * 3, 1e-6
    )
    assert instance_discrimination(**everything, drawn=drawn).tolist() == pytest.approx([math.log(1 + m)] * 3)
    assert instance_discrimination(**everything).tolist() == pytest.approx([math.log(N)] * 3)


def test_many_draws_give_the_gradient_of_the_softmax_over_all() -> None:
    """NCE's gradient tends to that of maximum likelihood, with the true Z, as m grows."""
    made = given()
    z = made["z"][:1].requires_grad_()
    log_z = (z.detach() @ made["rows"].T / TAU).logsumexp(dim=1)[0]
    index, rows = made["index"][:1], made["rows"]
    (expected,) = torch.autograd.grad(instance_discrimination(z, index, rows, temperature=TAU).sum(), z)
    errors = []
    for times in (1, 100, 10_000):
        drawn = torch.arange(N).repeat(times)  # every image equally often: no noise of the draw
        loss = instance_discrimination(z, index, rows, temperature=TAU, drawn=drawn, log_z=log_z)
        (found,) = torch.autograd.grad(loss.sum(), z)
        errors.append(float((found - expected).norm() / expected.norm()))
    assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-3


def test_order_of_the_draw_does_not_matter_and_rows_are_apart() -> None:
    made, log_z = given(), torch.tensor(0.5, dtype=torch.float64)
    for constant in (None, log_z):
        found = instance_discrimination(**made, temperature=TAU, log_z=constant)
        shuffled = made | {"drawn": made["drawn"].flip(0), "z": made["z"].flip(0), "index": made["index"].flip(0)}
        turned = instance_discrimination(**shuffled, temperature=TAU, log_z=constant)
        torch.testing.assert_close(turned.flip(0), found, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("constant", [None, 1.0])
@pytest.mark.parametrize("some", [True, False])
def test_gradients(constant: float | None, some: bool) -> None:
    made = given()
    log_z = None if constant is None else torch.tensor(constant, dtype=torch.float64)

    def loss(z: torch.Tensor) -> torch.Tensor:
        drawn = made["drawn"] if some else None
        return instance_discrimination(z, made["index"], made["rows"], temperature=TAU, drawn=drawn, log_z=log_z)

    assert torch.autograd.gradcheck(loss, made["z"].requires_grad_())


def test_half_precision_around_it_changes_nothing() -> None:
    made = {name: x.float() if x.is_floating_point() else x for name, x in given().items()}
    for log_z in (None, torch.tensor(0.5)):
        want = instance_discrimination(**made, temperature=TAU, log_z=log_z)
        with torch.autocast("cpu", torch.bfloat16):
            assert torch.equal(instance_discrimination(**made, temperature=TAU, log_z=log_z), want)
