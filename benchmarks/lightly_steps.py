"""lightly's example steps at the shapes of one of our methods: its heads, losses and momentum updates, our backbone.

Each maker takes one of our methods, for its backbone, and its sizes, and returns a step on the method's views. The
parts are put together as lightly's documentation shows; nothing of ours is in them.
"""

import copy
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from unlabel.methods.base import Method

Step = Callable[[list[Tensor]], None]


def _moved(module: nn.Module | list[nn.Module], lr: float = 0.06) -> torch.optim.Optimizer:
    modules = module if isinstance(module, list) else [module]
    return torch.optim.SGD([p for m in modules for p in m.parameters()], lr=lr)


def _descend(loss: Tensor, optimiser: torch.optim.Optimizer) -> None:
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()


def simclr(method: Method, hyper: Mapping[str, Any]) -> Step:
    from lightly.loss import NTXentLoss
    from lightly.models.modules import SimCLRProjectionHead

    backbone, width = method.backbone, method.backbone.num_features
    head = SimCLRProjectionHead(width, hyper["projector_width"], hyper["projector_dim"])
    temperature = method.objective.keywords["temperature"]
    criterion, optimiser = NTXentLoss(temperature=temperature), _moved([backbone, head])

    def step(views: list[Tensor]) -> None:
        z0, z1 = (head(backbone(view)) for view in views)
        _descend(criterion(z0, z1), optimiser)

    return step


def byol(method: Method, hyper: Mapping[str, Any]) -> Step:
    from lightly.loss import NegativeCosineSimilarity
    from lightly.models.modules import BYOLPredictionHead, BYOLProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    backbone, width = method.backbone, method.backbone.num_features
    hidden, dim = hyper["projector_width"], hyper["projector_dim"]
    head, predictor = BYOLProjectionHead(width, hidden, dim), BYOLPredictionHead(dim, hidden, dim)
    slow_backbone, slow_head = copy.deepcopy(backbone), copy.deepcopy(head)
    deactivate_requires_grad(slow_backbone), deactivate_requires_grad(slow_head)
    criterion, optimiser = NegativeCosineSimilarity(), _moved([backbone, head, predictor])

    def step(views: list[Tensor]) -> None:
        update_momentum(backbone, slow_backbone, m=0.99)
        update_momentum(head, slow_head, m=0.99)
        p0, p1 = (predictor(head(backbone(view))) for view in views)
        z0, z1 = (slow_head(slow_backbone(view)).detach() for view in views)
        _descend(0.5 * (criterion(p0, z1) + criterion(p1, z0)), optimiser)

    return step


def dino(method: Method, hyper: Mapping[str, Any]) -> Step:
    from lightly.loss import DINOLoss
    from lightly.models.modules import DINOProjectionHead
    from lightly.models.utils import deactivate_requires_grad, update_momentum

    backbone, width = method.backbone, method.backbone.num_features
    sizes = width, hyper["head_width"], hyper["bottleneck"], hyper["prototypes"]
    head = DINOProjectionHead(*sizes, freeze_last_layer=1)
    slow_backbone, slow_head = copy.deepcopy(backbone), DINOProjectionHead(*sizes)
    deactivate_requires_grad(slow_backbone), deactivate_requires_grad(slow_head)
    criterion = DINOLoss(output_dim=sizes[-1], warmup_teacher_temp_epochs=5)
    optimiser = torch.optim.Adam([*backbone.parameters(), *head.parameters()], lr=0.001)

    def step(views: list[Tensor]) -> None:
        update_momentum(backbone, slow_backbone, m=0.99)
        update_momentum(head, slow_head, m=0.99)
        targets = [slow_head(slow_backbone(view)) for view in views[:2]]
        said = [head(backbone(view)) for view in views]
        loss = criterion(targets, said, epoch=1)
        optimiser.zero_grad()
        loss.backward()
        head.cancel_last_layer_gradients(current_epoch=1)
        optimiser.step()

    return step


def mae(method: Method, hyper: Mapping[str, Any]) -> Step:
    from lightly.models import utils
    from lightly.models.modules import MAEDecoderTIMM, MaskedVisionTransformerTIMM

    vit = method.backbone
    sequence, patch = vit.patch_embed.num_patches + vit.num_prefix_tokens, vit.patch_embed.patch_size[0]
    backbone = MaskedVisionTransformerTIMM(vit=vit)
    decoder = MAEDecoderTIMM(
        num_patches=vit.patch_embed.num_patches, patch_size=patch, embed_dim=vit.embed_dim,
        decoder_embed_dim=hyper["decoder_width"], decoder_depth=hyper["decoder_depth"],
        decoder_num_heads=hyper["decoder_heads"], mlp_ratio=4.0, proj_drop_rate=0.0, attn_drop_rate=0.0,
    )  # fmt: skip
    criterion = nn.MSELoss()
    optimiser = torch.optim.AdamW([*backbone.parameters(), *decoder.parameters()], lr=1.5e-4)

    def step(views: list[Tensor]) -> None:
        (images,) = views
        keep, hidden = utils.random_token_mask((len(images), sequence), method.mask_ratio, device=images.device)
        encoded = decoder.embed(backbone.encode(images=images, idx_keep=keep))
        whole = utils.repeat_token(decoder.mask_token, (len(images), sequence))
        whole = utils.set_at_index(whole, keep, encoded.type_as(whole))
        decoded = utils.get_at_index(decoder.decode(whole), hidden)
        target = utils.get_at_index(utils.patchify(images, patch), hidden - 1)
        _descend(criterion(decoder.predict(decoded), target), optimiser)

    return step


STEPS: dict[str, Callable[[Method, Mapping[str, Any]], Step]] = {
    "simclr": simclr,
    "byol": byol,
    "dino": dino,
    "mae": mae,
}
