"""What a grid of vectors says down to a row: convolutions that never look below it."""

import torch.nn.functional as F
from torch import Tensor, nn


class RowContext(nn.Module):
    """z [B, H, W, D] -> c [B, H, W, D], where c_ij depends on z_uv of the rows u <= i only, columns to both sides.

    c = z; then `blocks` times c <- c + f(c); at the end a ReLU. f is Conv(1 x 1) to `width` channels, ReLU, Conv(1 x 3)
    along the row, Conv(2 x 1) down over a row of zeros on top, ReLU, Conv(1 x 1) back to D. Each block looks one row
    further up and one column further to both sides.

    Hénaff et al., CPC v2, arXiv 1905.09272, appendix: there called a PixelCNN.
    """

    def __init__(self, dimensions: int, *, width: int = 256, blocks: int = 5) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(dimensions, width, 1),
                nn.ReLU(),
                nn.Conv2d(width, width, (1, 3), padding=(0, 1)),
                nn.ZeroPad2d((0, 0, 1, 0)),
                nn.Conv2d(width, width, (2, 1)),
                nn.ReLU(),
                nn.Conv2d(width, dimensions, 1),
            )
            for _ in range(blocks)
        )

    def forward(self, z: Tensor) -> Tensor:
        """[B, H, W, D] -> [B, H, W, D]."""
        c = z.permute(0, 3, 1, 2)
        for block in self.blocks:
            c = c + block(c)
        return F.relu(c).permute(0, 2, 3, 1)
