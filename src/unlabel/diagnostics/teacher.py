"""How far is a teacher from its student, in weights and in what both say of the same images?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


@torch.no_grad()
def parameter_distance(teacher: nn.Module, student: nn.Module) -> float:
    """|theta_t - theta_s| / |theta_s| over all parameters together; buffers do not count.

    Returns a number >= 0: 0 for a copy, 1 for a teacher of zeros. It grows with the learning rate and with the number
    of updates that the teacher averages over. The measure is ours; averages of weights as teachers are those of
    Tarvainen and Valpola, NeurIPS 2017, arXiv 1703.01780.
    Raises ValueError unless both have parameters of the same names and shapes.
    """
    old, new = dict(teacher.named_parameters()), dict(student.named_parameters())
    if {n: p.shape for n, p in old.items()} != {n: p.shape for n, p in new.items()}:
        raise ValueError(
            f"teacher and student differ in {sorted(old.keys() ^ new.keys()) or 'the shapes of parameters'}"
        )
    apart = torch.stack([(old[name] - p).double().square().sum() for name, p in new.items()]).sum()
    length = torch.stack([p.double().square().sum() for p in new.values()]).sum()
    return float((apart / length).sqrt())


def embedding_divergence(x: Float[Tensor, "n d"], y: Float[Tensor, "n d"]) -> float:
    """mean_i 1 - cos(x_i, y_i): how differently two networks, such as teacher and student, see the same images.

    x, y  [n, D] embeddings of the same images, row by row

    Returns a number in [0, 2]: 0 for the same directions, about 1 for unrelated ones. As a reading it is ours; the
    formula is half of BYOL's loss 2 - 2 cos, Grill et al., NeurIPS 2020, arXiv 2006.07733, eq. 2, which compares a
    prediction with the projection of another view: here both are representations of one image, without either head.
    """
    x, y = (F.normalize(z.detach().to("cpu", torch.float64), dim=1) for z in (x, y))
    return float(1 - (x * y).sum(dim=1).mean())
