import torch

from unlabel.views.patchwise import drop_and_flip


def patches() -> torch.Tensor:
    return torch.rand(4, 3, 3, 3, 5, 5) + 1  # no pixel is 0


def test_one_channel_is_kept_in_as_many_patches_as_asked() -> None:
    x, u = patches().expand(100, -1, -1, -1, -1, -1, -1).flatten(0, 1), torch.rand(400, 3, 3, 3)
    out = drop_and_flip(x, u, drop=0.7, flip=0.0)
    alive = (out != 0).flatten(-2).all(-1)  # [B, G, G, C]
    dropped = alive.sum(dim=-1) == 1
    assert (alive.sum(dim=-1)[~dropped] == 3).all()
    assert abs(dropped.float().mean().item() - 0.7) < 0.03
    assert torch.equal(out[alive], x[alive])
    shares = alive[dropped].float().mean(dim=0)
    assert ((shares - 1 / 3).abs() < 0.04).all()


def test_patches_are_mirrored_one_by_one() -> None:
    x, u = patches(), torch.rand(4, 3, 3, 3)
    out = drop_and_flip(x, u, drop=0.0, flip=0.5)
    mirrored = u[..., 2] < 0.5
    assert torch.equal(out[mirrored], x[mirrored].flip(-1)) and torch.equal(out[~mirrored], x[~mirrored])
    assert mirrored.any() and not mirrored.all()


def test_nothing_happens_at_zero_and_grey_images_stay() -> None:
    x, u = patches(), torch.rand(4, 3, 3, 3)
    assert torch.equal(drop_and_flip(x, u, drop=0.0, flip=0.0), x)
    grey = x[:, :, :, :1]
    assert torch.equal(drop_and_flip(grey, u, drop=1.0, flip=0.0), grey)
