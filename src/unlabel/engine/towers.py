"""A method that reads: the tokeniser its captions go through, and both its networks, kept to be used together."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from unlabel import methods
from unlabel.data.source import Source
from unlabel.data.tokens import Tokeniser
from unlabel.engine.folder import RunFolder, write_atomically, write_json
from unlabel.engine.job import Job, recipe
from unlabel.engine.keep import network_facts, spec_of
from unlabel.engine.kinds import kind_of
from unlabel.engine.sources import Sources
from unlabel.errors import Fault, command
from unlabel.methods import Method, Reads
from unlabel.nn import backbones
from unlabel.views import View, evaluation

TEXTS = 256  # that the text network sees at once


@dataclass(frozen=True)
class Towers:
    """The networks of a finished run that reads, in evaluation mode.

    reads: images and tokens to vectors; tokenise: texts to tokens; view: how images are shown to it;
    device: where they are.
    """

    reads: Reads
    tokenise: Tokeniser
    view: View
    device: torch.device | str = "cpu"

    def texts(self, texts: list[str]) -> Tensor:
        """A vector for each text, [n, D]; at least one text."""
        with torch.inference_mode():
            parts = [texts[i : i + TEXTS] for i in range(0, len(texts), TEXTS)]
            return torch.cat(
                [self.reads.text_vectors(self.tokenise(part).to(self.device)).float().cpu() for part in parts]
            )


def with_tokeniser(job: Job, sources: Sources, folder: RunFolder) -> Sources:
    """The sources of a run with its tokeniser, which is learnt from the captions to train on when the run begins."""
    if not kind_of(job.run.method).captions:
        return sources
    if not folder.tokeniser.exists():
        made = Tokeniser.learn(
            _captions(sources.training[0]), vocabulary=job.hyper["vocabulary"], context=job.hyper["context"]
        )
        write_atomically(folder.tokeniser, made.as_json().encode())
    return replace(sources, tokenise=Tokeniser.read(folder.tokeniser))


def _captions(source: Source) -> Iterator[str]:
    return (text for i in range(len(source)) for text in source.captions(i))


def save_towers(job: Job, method: Method, folder: RunFolder) -> None:
    """Write towers.safetensors and towers.json; nothing for a method that does not read."""
    if job.backbone is None or not isinstance(method, Reads):
        return
    held = method.state_dict()
    tensors = {name: value.detach().cpu().contiguous() for name, value in held.items() if isinstance(value, Tensor)}
    write_atomically(folder.towers, save_tensors(tensors, metadata={"format": "pt"}))
    view = recipe(job, method).views[0]
    write_json(folder.towers_facts, {
        **asdict(job.backbone), "mean": view.mean, "std": view.std, "method": job.run.method, "hyper": job.hyper,
    })  # fmt: skip


def load_towers(run: str | Path) -> Towers:
    """Both networks of a run folder, its tokeniser and its view. Reading the files runs no code.

    Faults: not a run folder, a method that does not read, not finished, damaged weights.
    """
    folder = RunFolder(run)
    job = Job.from_dict(folder.read())
    if not kind_of(job.run.method).captions:
        raise Fault(f"{run} holds a {job.run.method} run, which knows no texts: train one that does, such as clip")
    go_on = command("pretrain", "--resume", folder.path)
    missing = f"{folder.path} has no networks yet: finish the run with `{go_on}`"
    facts = network_facts(folder.towers_facts, missing, "timm", "method", "hyper")
    method = _built(facts)
    try:
        tensors: dict[str, Any] = load_tensors(folder.towers.read_bytes())
        method.load_state_dict({**tensors, "_extra_state": method.get_extra_state()})
    except (OSError, safetensors.SafetensorError, RuntimeError) as problem:
        raise Fault(f"{folder.towers} is missing, damaged or of other networks") from problem
    assert isinstance(method, Reads)
    view = evaluation(facts["size"], tuple(facts["mean"]), tuple(facts["std"]))
    return Towers(method.eval(), Tokeniser.read(folder.tokeniser), view)


def _built(facts: dict[str, Any]) -> Method:
    """The method that towers.json describes, with random weights."""
    make: Callable[..., Method] = methods.get(facts["method"])
    with torch.random.fork_rng(devices=[]):
        return make(backbones.build(spec_of(facts)), **facts["hyper"])
