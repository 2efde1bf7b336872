"""Learning Transferable Visual Models From Natural Language Supervision (CLIP).

Radford, Kim, Hallacy, Ramesh, Goh, Agarwal, Sastry, Askell, Mishkin, Clark, Krueger, Sutskever. ICML 2021,
arXiv 2103.00020.

Images come with texts. An image and its text must find each other among all images and texts of the batch; a new
class is then recognised by its name alone.

Predecessors
    A classifier knows the classes that it was given labels of and no others, and many networks that learned from
    captions predicted their words. CLIP only asks which caption belongs to which image; in the paper this learns four
    times as fast as predicting which words it has (figure 2). The loss is like that of ConVIRT, made for medical
    images; CLIP leaves out the hidden layers of its heads and trains on 400 million pairs.

Algorithm
    x, y     = a view of each image, one of its captions as tokens      # [B, 3, S, S], [B, L]
    I        = n(W_i f(x))                                              # [B, d]   n(a) = a / ||a||
    T        = n(W_t g(y))                                              # [B, d]
    s        = e^t I T'                                                 # [B, B]   cosines times a learnt scale
    L        = (CE(rows of s, diagonal) + CE(columns of s, diagonal)) / 2          (figure 3)
    after each update:
    t        <- min(max(t, 0), log 100)

Flow
    image ── view ─── f ─ W_i ─ I ─┐
                                   ├─ cosines x e^t ─ cross-entropy of rows and of columns
    text ─── tokens ─ g ─ W_t ─ T ─┘

Symbols
    f    backbone        the network that is kept
    g    text            a transformer that looks back only, read at the end-of-text token
    W_i  projector       linear, without bias; W_t is the last layer of `text`
    d    projector_dim
    t    log_scale       starts at -log temperature; not decayed
    L    context         longer captions are cut; tokens are byte pairs of the captions at hand, `vocabulary` at most
    y    batch.tokens    one of an image's captions, drawn anew in each epoch

Departures
    Any backbone may be the image tower; the paper's ResNets pool by attention, its ViTs have a norm before the blocks
    (timm's vit_..._clip_... have it).
    The end of a text is found by its id, 2; in the authors' vocabulary it is the largest.
    The paper takes a random square crop of the resized image; here it is 90 to 100 % of the area with an aspect of
    3/4 to 4/3. No flips: a text may speak of left and right.
    AdamW's epsilon is torch's 1e-8; the paper has 1e-6 for its ViTs.
"""

import math
from typing import ClassVar, final

import torch
from torch import Tensor, nn

from unlabel.distributed import gather
from unlabel.errors import Fault
from unlabel.losses import matching
from unlabel.methods.base import Method
from unlabel.nn.text import TextTransformer
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe, named

LARGEST = math.log(100.0)  # of t: beyond, training becomes unstable (section 2.5)


@final
class CLIP(Method):
    """CLIP: images and their texts find each other."""

    title = "CLIP"
    family = "joint-embedding"
    paper = "2103.00020"
    year = 2021
    view_range = (1, 1)
    captions = True
    limits: ClassVar = {
        "vocabulary": (259, 1 << 20), "context": (3, 4096), "text_width": (1, 65536), "text_depth": (1, 64),
        "text_heads": (1, 256), "projector_dim": (1, 65536), "temperature": (0.01, 1.0),
    }  # fmt: skip
    plan = Plan(
        optimiser="adamw", lr=5e-4, lr_per=None, betas=(0.9, 0.98), weight_decay=0.2, warmup=0.005,
        batch_size=32768, epochs=32,
    )  # fmt: skip

    def __init__(
        self,
        backbone: nn.Module,
        *,
        vocabulary: int = 49408,
        context: int = 77,
        text_width: int = 512,
        text_depth: int = 12,
        text_heads: int = 8,
        projector_dim: int = 512,
        temperature: float = 0.07,
    ) -> None:
        super().__init__()
        if text_width % text_heads:
            raise Fault(f"`text_width` {text_width} must be a multiple of `text_heads` {text_heads}")
        self.backbone = backbone
        width: int = backbone.num_features  # type: ignore[assignment]
        self.projector = nn.Linear(width, projector_dim, bias=False)
        nn.init.normal_(self.projector.weight, std=width**-0.5)
        self.text = TextTransformer(
            vocabulary=vocabulary, context=context, width=text_width, depth=text_depth, heads=text_heads,
            outputs=projector_dim,
        )  # fmt: skip
        self.log_scale = nn.Parameter(torch.tensor(-math.log(temperature)))

    def views(self, size: int) -> Recipe:
        """One view, nearly the whole image and never mirrored."""
        return named("clip", size)

    def image_vectors(self, x: Tensor) -> Tensor:
        """[B, 3, S, S] -> [B, d], to be compared by cosine with those of texts."""
        return self.projector(self.backbone(x))

    def text_vectors(self, tokens: Tensor) -> Tensor:
        """[B, L] -> [B, d], to be compared by cosine with those of images."""
        return self.text(tokens)

    def loss(self, batch: Batch) -> Tensor:
        """Both directions of the cross-entropy over all ranks' pairs."""
        if batch.tokens is None:
            raise ValueError("CLIP needs batch.tokens: make the batch from a source with captions and a tokeniser")
        i = gather(self.image_vectors(batch.views[0]))
        t = gather(self.text_vectors(batch.tokens))
        return matching(i, t, temperature=(-self.log_scale).exp())

    def collapse_values(self, batch_size: int) -> dict[str, float]:
        """log B."""
        return {"all images and texts have equal embeddings": math.log(batch_size)}

    @torch.no_grad()
    def after_update(self) -> None:
        """The scale stays between 1 and 100: the parameter itself is held, or it would drift on unseen."""
        self.log_scale.clamp_(0.0, LARGEST)
