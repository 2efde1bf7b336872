"""Contrastive Learning for Unpaired Image-to-Image Translation (CUT).

Park, Efros, Zhang, Zhu. ECCV 2020, arXiv 2007.15651.

A translated patch must look like domain Y and still be recognisable as the same place of its own input.

Predecessors
    CycleGAN keeps the content of an image by translating it back and asking for every pixel again. That takes two
    generators and two discriminators, and asks that every translation can be undone, which is often too much. CUT needs
    one of each: the contrastive loss of CPC, among patches of one image, keeps the content, and the Fréchet distance
    for horse to zebra falls from 77.2 to 45.5.

Algorithm
    x, y     = images of domains X and Y, unpaired, in [-1, 1]                    # [B, 3, S, S] each
    L_D      = 1/2 [ mean (D(y) - 1)^2 + mean D(sg G(x))^2 ]                      # least squares; D moves first
    z_l      = norm(H_l(G_enc^l(v)))  at 256 random places s of v                 # [B, 256, 256] for tap l
    q_l      = norm(H_l(G_enc^l(G(v)))) at the same places
    NCE(v)   = mean over l, b, s of  -log( e^{q_s . sg z_s / tau} / sum_s' e^{q_s . sg z_s' / tau} )   (eq. 4)
    L_G      = mean (D(G(x)) - 1)^2 + lambda/2 [ NCE(x) + NCE(y) ]                (eq. 5, lambda_X = lambda_Y)
    without the identity term:  L_G = mean (D(G(x)) - 1)^2 + lambda NCE(x)

Flow
    x ─ G ─┬─ G(x) ─ D ─ does it look like Y?                            (y goes into D as the real one)
           ├─ G(x) ─ G_enc ─ H ─ q at 256 places ─┐
    x ─────┴──────── G_enc ─ H ─ z, same places ──┴─ which z belongs to this q?
    y ─ G ─── the same contrast of y with G(y)

Symbols
    G          generator       its layers up to residual block 5 are the encoder G_enc; the network that is kept
    D          discriminator   one logit per patch, not per image (PatchGAN)
    H          heads           one small MLP per tap
    tau        temperature
    lambda     lambda_nce
    NCE(y)     identity        G should leave images of Y alone
    sg         detach          keys carry no gradient, so G learns through q only

Several processes
    Every norm and every contrast stays inside one image, so nothing is gathered but the draw of places (and of the
    flip): all ranks look at rank 0's, as the images of one batch share theirs.

Departures
    Means over taps and places, and the half before the two NCE terms, follow the authors' code; the paper sums.
    Keys are read off the pass that makes G(x) and G(y), where the authors encode x and y once more: same values.
    One Adam moves G and H, where the authors step two side by side: Adam treats each weight by itself.
    H is made with the rest of the network, where the authors make it at the first batch.
    The learning rate falls linearly to zero over the second half by the update, not by the epoch, and images keep
    their random crop in that half, where the authors' code stops it.
"""

from typing import ClassVar, final

import torch
from torch import Tensor, cat, nn

from unlabel.distributed import gather
from unlabel.errors import Fault
from unlabel.losses.patchnce import patch_nce
from unlabel.methods.base import Method, Player, frozen
from unlabel.nn.generator import Generator, PatchHeads
from unlabel.nn.patchgan import PatchDiscriminator
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named


@final
class CUT(Method):
    """CUT: unpaired image translation with contrast between patches of input and output."""

    title = "CUT"
    family = "translation"
    paper = "2007.15651"
    year = 2020
    limits: ClassVar = {
        "generator_width": (1, 1024),
        "generator_blocks": (5, 64),
        "discriminator_width": (1, 1024),
        "discriminator_layers": (1, 6),
        "patches": (2, 65536),
        "temperature": (1e-3, 100.0),
    }
    plan = Plan(
        optimiser="adam",
        lr=2e-4,
        lr_per=None,
        betas=(0.5, 0.999),
        schedule="linear-tail",
        batch_size=1,
        epochs=400,
    )

    def __init__(
        self,
        *,
        size: int,
        generator_width: int = 64,
        generator_blocks: int = 9,
        discriminator_width: int = 64,
        discriminator_layers: int = 3,
        patches: int = 256,
        temperature: float = 0.07,
        lambda_nce: float = 1.0,
        identity: bool = True,
        flip_equivariance: bool = False,
    ) -> None:
        super().__init__()
        self.automatic_optimization = False
        self.patches = patches
        self.temperature = temperature
        self.lambda_nce = lambda_nce
        self.identity = identity
        self.flip_equivariance = flip_equivariance
        self.generator = Generator(width=generator_width, blocks=generator_blocks)
        self.heads = PatchHeads(self.generator.widths)
        self.discriminator = PatchDiscriminator(width=discriminator_width, layers=discriminator_layers)
        if size % 4:
            raise Fault(f"cut needs a size that is a multiple of 4, not {size}")
        if self.discriminator.logit_side(size) < 1:
            raise Fault(
                f"images of {size} pixels are too small for {discriminator_layers} discriminator layers: "
                f"lower discriminator_layers or use at least {3 * 2**discriminator_layers} pixels"
            )

    def views(self, size: int) -> Recipe:
        """Two views: one of an image of domain X (source 0), one of an image of domain Y (source 1)."""
        return named("cut", size)

    @property
    def kept(self) -> nn.Module:
        """The generator: it translates by itself."""
        return self.generator

    def players(self) -> list[Player]:
        """The discriminator moves first, then the generator together with the heads."""
        moved_by_d = [(n, p) for n, p in self.named_parameters() if n.startswith("discriminator.")]
        moved_by_g = [(n, p) for n, p in self.named_parameters() if not n.startswith("discriminator.")]
        return [Player("discriminator", moved_by_d), Player("generator", moved_by_g)]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One update: translate once, then both players move in turn. Returns L_G."""
        outputs, keys, flipped = self._translate(batch)

        loss_d = self.total(self._discriminator_terms(outputs, batch))
        terms_d = self.terms
        self.descend("discriminator", loss_d)

        with frozen(self.discriminator):
            loss_g = self.total(self._generator_terms(outputs, keys, flipped, batch))
            self.descend("generator", loss_g)
        self.terms = terms_d | self.terms
        self.advance()
        return loss_g.detach()

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The terms of both players before either moves: "discriminator" is L_D; "gan", "nce" and "identity" add
        up to L_G. Each player's parameters receive gradients from that player's terms only.
        """
        outputs, keys, flipped = self._translate(batch)
        terms = self._discriminator_terms(outputs, batch)
        with frozen(self.discriminator):
            return terms | self._generator_terms(outputs, keys, flipped, batch)

    def _translate(self, batch: Batch) -> tuple[Tensor, list[Tensor], bool]:
        """One pass of G over x (and y): the outputs, the key features, and whether the images went in mirrored."""
        x, y = batch.views
        images = cat((x, y)) if self.identity else x  # [2B, 3, S, S]
        flipped = self.flip_equivariance and bool(gather(torch.rand(1, device=x.device))[0] < 0.5)
        outputs, features = self.generator.trace(images.flip(3) if flipped else images)
        if flipped:  # keys are those of the images as they are
            with torch.no_grad():
                features = self.generator.encode(images)
        return outputs, [feature.detach() for feature in features], flipped

    def _discriminator_terms(self, outputs: Tensor, batch: Batch) -> dict[str, Tensor]:
        real = self.discriminator(batch.views[1])
        fake = self.discriminator(outputs[: len(batch)].detach())
        return {"discriminator": 0.5 * ((real - 1).square().mean() + fake.square().mean())}

    def _generator_terms(self, outputs: Tensor, keys: list[Tensor], flipped: bool, batch: Batch) -> dict[str, Tensor]:
        fake = outputs[: len(batch)]
        queries = self.generator.encode(outputs)
        if flipped:
            queries = [query.flip(3) for query in queries]  # back onto the places of the keys
        parts = {"nce": slice(0, len(batch)), "identity": slice(len(batch), None)}
        if not self.identity:
            del parts["identity"]
        terms = {"gan": (self.discriminator(fake) - 1).square().mean()}
        for name, part in parts.items():
            nce = self._nce([query[part] for query in queries], [key[part] for key in keys])
            terms[name] = self.lambda_nce * nce / len(parts)
        return terms

    def _nce(self, queries: list[Tensor], keys: list[Tensor]) -> Tensor:
        """NCE of features [B, C_l, H_l, W_l] of outputs and of their inputs: the mean over taps, images, places."""
        places = self._places(keys)
        with torch.no_grad():
            z = self.heads(keys, places)
        q = self.heads(queries, places)
        losses = [patch_nce(q_l, z_l, temperature=self.temperature) for q_l, z_l in zip(q, z, strict=True)]
        return torch.stack([loss.mean() for loss in losses]).mean()

    def _places(self, features: list[Tensor]) -> list[Tensor]:
        """For each tap at most `patches` distinct places, the same for all images on all ranks."""
        drawn = [torch.randperm(f.shape[2] * f.shape[3], device=f.device)[: self.patches] for f in features]
        shared = gather(cat(drawn)[None])[0]  # rank 0's
        return list(shared.split([len(places) for places in drawn]))

    def embed(self, x: Tensor) -> Tensor:
        """The encoder's last features, averaged over places: [B, 3, S, S] -> [B, 4 x generator_width]."""
        return self.generator.encode(x)[-1].mean(dim=(2, 3))

    @torch.no_grad()
    def translate(self, x: Tensor) -> Tensor:
        """Images of X as images of Y: [B, 3, H, W] in [-1, 1], sides multiples of 4 -> the same shape and range."""
        return self.generator(x)

    def picture(self, batch: Batch) -> dict[str, Tensor]:
        """Up to four rows of x, G(x), y, G(y)."""
        x, y = (view[:4] for view in batch.views)
        columns = cat([x, self.translate(x), y, self.translate(y)], dim=3)  # [n, 3, S, 4S]
        grid = cat(list(columns), dim=1)  # [3, nS, 4S]
        return {"translations": ((grid + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()}
