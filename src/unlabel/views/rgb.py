"""Images of any number of channels as something to look at."""

from torch import Tensor


def as_rgb(image: Tensor) -> Tensor:
    """[..., C, H, W] -> [..., 3, H, W]: RGB as it is, of more channels the first three, of fewer the first as grey."""
    channels = image.shape[-3]
    if channels >= 3:
        return image[..., :3, :, :]
    return image[..., :1, :, :].expand(*image.shape[:-3], 3, *image.shape[-2:])
