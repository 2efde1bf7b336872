import torch

from unlabel.nn.centre import Centre


def test_first_move_from_zero_is_a_tenth_of_the_batch_mean() -> None:
    centre = Centre(3, momentum=0.9).double()
    t = torch.randn(8, 3, dtype=torch.float64)
    centre.see(t.mean(dim=0))
    assert centre.value.abs().max() == 0  # seeing does not move
    centre.move()
    torch.testing.assert_close(centre.value, 0.1 * t.mean(dim=0), rtol=1e-14, atol=0)
    torch.testing.assert_close(centre(t), t - 0.1 * t.mean(dim=0), rtol=1e-14, atol=1e-15)


def test_several_batches_of_one_update_move_it_once() -> None:
    centre = Centre(2, momentum=0.5).double()
    centre.value += 4
    centre.see(torch.tensor([0.0, 1.0]))
    centre.see(torch.tensor([2.0, 5.0]))
    centre.move()
    assert centre.value.tolist() == [2.5, 3.5]  # 4/2 + mean/2
    centre.move()  # nothing was seen since
    assert centre.value.tolist() == [2.5, 3.5]
    centre.see(torch.tensor([2.5, 1.5]))
    centre.move()
    assert centre.value.tolist() == [2.5, 2.5]  # what was seen earlier is forgotten


def test_only_the_centre_is_saved() -> None:
    assert list(Centre(2).state_dict()) == ["value"]


def test_takes_no_gradient() -> None:
    centre = Centre(2)
    centre.see(torch.ones(2, requires_grad=True) * 2)
    centre.move()
    assert not centre.value.requires_grad and not list(centre.parameters())
