"""A bank of all images, the rows of it that an update is compared with, and the constant that makes densities."""

import math

import numpy as np
import torch
from torch import Tensor, nn

from unlabel.errors import Fault
from unlabel.nn.bank import Bank


class Instances(nn.Module):
    """One row of width d for every image, as the model p(i | z) = e^{z·v_i / τ} / Z of which image z shows.

    negatives  m rows that the features of an update are compared with; 0 means all
    momentum   of the rows, see `Bank`

    `prepare` makes the rows, once it is known how many images there are.

    The negatives of an update are drawn uniformly, with replacement, by the update's number and a seed that is kept
    with the weights. So a loss repeats, every rank draws the same without a word, and the images of a batch share
    theirs: scores are one product of matrices instead of a gathering of m rows for every image.

    Z is estimated from the first batch and stays: it makes a row's scores a density up to what the network corrects.
    As in `Bank`, `see` notes while the loss is computed and `move` follows once per update.

    Wu, Xiong, Yu, Lin, instance discrimination, arXiv 1805.01978, sections 3.1 and 3.2.
    """

    seed: Tensor  # [] int64
    constant: Tensor  # [] log Z; infinite while it is not known

    def __init__(self, width: int, *, negatives: int, momentum: int | float = 0.5) -> None:
        super().__init__()
        self.width, self.negatives, self.momentum = width, negatives, float(momentum)
        self.bank = Bank(0, width, momentum=self.momentum)
        self.register_buffer("seed", torch.randint(2**31, ()))
        self.register_buffer("constant", torch.tensor(math.inf))
        self.noted: list[Tensor] = []

    def prepare(self, images: int) -> None:
        """Make the rows of so many images."""
        self.bank = Bank(images, self.width, momentum=self.momentum).to(self.seed.device)

    @property
    def rows(self) -> Tensor:
        """[n, d]; Fault before there are any."""
        if not len(self.bank):
            raise Fault("nothing is remembered of the images yet: call the method's `prepare(number of images)` first")
        return self.bank.rows

    def drawn(self, update: int) -> Tensor | None:
        """[m] images that the features of this update are compared with; None: with all."""
        if not self.negatives:
            return None
        draw = np.random.default_rng((int(self.seed), update))
        return torch.from_numpy(draw.integers(len(self.rows), size=self.negatives)).to(self.rows.device)

    @torch.no_grad()
    def log_z(self, anchors: Tensor, drawn: Tensor | None, *, temperature: int | float) -> Tensor | None:
        """log Z []: the constant, or while there is none the estimate log(n mean e^{z·v / τ}).

        anchors  [w, d] unit features, of all ranks; the mean is over them and the drawn rows. None where no rows are
                 drawn: then Z is the sum over all of them, for every feature its own
        """
        if drawn is None:
            return None
        if torch.isfinite(self.constant):
            return self.constant
        with torch.autocast(anchors.device.type, enabled=False):
            s = anchors.to(self.rows.dtype) @ self.rows[drawn].T / temperature  # [w, m]
        return s.flatten().logsumexp(dim=0) + math.log(len(self.rows) / s.numel())

    @torch.no_grad()
    def see(self, index: Tensor, features: Tensor, log_z: Tensor | None = None) -> None:
        """Note unit features [w, d] of the images index [w], of all ranks, and the log Z that was used with them."""
        self.bank.see(index, features)
        if log_z is not None:
            self.noted.append(log_z.detach())

    @torch.no_grad()
    def move(self) -> None:
        """The rows follow what was noted; the first time, Z becomes the mean of what was used."""
        self.bank.move()
        if self.noted and not torch.isfinite(self.constant):
            self.constant.copy_(torch.stack(self.noted).logsumexp(dim=0) - math.log(len(self.noted)))
        self.noted = []
