"""Distillation: stage three of Big Self-Supervised Models are Strong Semi-Supervised Learners (SimCLR v2).

Chen, Kornblith, Swersky, Norouzi, Hinton. NeurIPS 2020, arXiv 2006.10029, after Hinton, Vinyals, Dean, 1503.02531.

A fine-tuned network says of every image, labelled or not, what it thinks it is; a student learns to say the same.

Algorithm
    P_T(x)  = softmax(teacher(x) / tau)                        # [B, K]   fixed, in evaluation mode
    P_S(x)  = softmax(student(x) / tau)                        # [B, K]
    L       = -(1 - alpha) mean over labelled x of log P_S(y | x; 1)
              - alpha tau^2 mean over all x of sum_y P_T(y | x) log P_S(y | x)            (eq. 3 and 4)

Symbols
    tau      temperature        1 for smaller students, lower for a student like its teacher
    alpha    alpha              1: labels are not used
    student  backbone and head  a zero linear layer on a backbone of any kind

Departures
    The factor tau^2 is that of Hinton et al. and of the authors' code; with it alpha means the same for every tau.
    Teacher and student see the same view. The paper's student begins pre-trained or not as its figures say; here it
    begins random, or as the teacher's copy (from_teacher).
"""

from dataclasses import replace
from typing import ClassVar, final

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unlabel.distributed import all_mean
from unlabel.engine.finetuning import blank_classifier, weak_view
from unlabel.errors import Fault
from unlabel.losses import distillation
from unlabel.methods import Classifies, Method
from unlabel.nn.ema import without_graph
from unlabel.optim.plan import Plan
from unlabel.views import Batch, Recipe


@final
class Distillation(Method):
    """A student that learns to say of images what its teacher says, and, if wanted, what their labels say.

    backbone      the student's
    origin        the method of the teacher's run
    classes       K, how many classes there are
    from_teacher  begin with the weights of the teacher's backbone, which must be of the same kind
    """

    title = "Distillation"
    family = "labelled"
    paper = "2006.10029"
    year = 2020
    view_range = (1, 1)
    limits: ClassVar = {"temperature": (1e-3, 100.0), "alpha": (0.0, 1.0)}
    plan = Plan(optimiser="lars", lr=6.4, lr_per=4096, weight_decay=1e-4, warmup=0.05, batch_size=4096, epochs=400)

    def __init__(
        self,
        backbone: nn.Module,
        *,
        origin: Method,
        size: int,
        classes: int,
        temperature: float = 1.0,
        alpha: float = 1.0,
        from_teacher: bool = False,
    ) -> None:
        super().__init__()
        if not isinstance(origin, Classifies):
            raise Fault(f"a run of {origin.title} classifies nothing and cannot teach: fine-tune it first")
        self.temperature, self.alpha = temperature, alpha
        self.weak = weak_view(origin, size)
        if from_teacher:
            try:
                backbone.load_state_dict(origin.kept.state_dict())
            except RuntimeError as problem:
                raise Fault("option `from_teacher` needs a student like its teacher: leave out `backbone`") from problem
        self.backbone = backbone
        self.head = nn.Sequential(blank_classifier(backbone.num_features, classes))  # type: ignore[arg-type]
        self.teacher = nn.Sequential(origin.kept, origin.head).requires_grad_(False).eval()

    def prepare(self, images: int) -> None:
        """Room for the class of each training image."""
        self.register_buffer("known", torch.full((images,), -1), persistent=False)

    def tell(self, labels: Tensor) -> None:
        """The class of each training image, [images] int64, -1 where it is not known."""
        self.get_buffer("known").copy_(labels)

    def train(self, mode: bool = True) -> "Distillation":
        """The teacher never trains: its batch norms use what they learned."""
        super().train(mode)
        self.teacher.eval()
        return self

    def views(self, size: int) -> Recipe:
        """One view: a random part of the image, sometimes mirrored."""
        return Recipe(views=(replace(self.weak, size=size),))

    def classify(self, x: Tensor) -> Tensor:
        """Images [B, C, S, S] -> logits of the student [B, K]."""
        return self.head(self.backbone(x))

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """What the teacher says of all images, and what the labels say where they are known."""
        (x,) = batch.views
        t, s = without_graph(self.teacher, x), self.classify(x)  # [B, K] each
        terms = {"distillation": self.alpha * distillation(t, s, temperature=self.temperature)}
        if self.alpha < 1:
            y = self.get_buffer("known")[batch.index]
            precise = s.to(torch.promote_types(s.dtype, torch.float32))
            wrong = F.cross_entropy(precise, y, ignore_index=-1, reduction="sum")
            terms["labels"] = (1 - self.alpha) * wrong / all_mean((y >= 0).sum().float()).clamp(min=1e-6)
        return terms
