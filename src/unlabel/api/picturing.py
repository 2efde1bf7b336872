"""Pictures of what a network does inside, made when its run is evaluated."""

import pyarrow.parquet as pq
import torch

from unlabel.engine.folder import RunFolder
from unlabel.engine.job import Job
from unlabel.engine.keep import evaluation_view
from unlabel.engine.monitor import evaluating
from unlabel.engine.sources import Sources
from unlabel.evaluation.inside import look_inside
from unlabel.evaluation.prototypes import Prototypes, most_used
from unlabel.methods import Assigns, Method, Translates
from unlabel.reporting.inside import write_inside


def draw_inside(job: Job, method: Method, sources: Sources, folder: RunFolder) -> None:
    """Look inside the kept network on a few queries, and at what its prototypes stand for; write what was seen.

    Nothing for a method that translates, which keeps no backbone. Prototypes are of the images in embeddings.parquet.
    """
    if isinstance(method, Translates):
        return
    device = job.settings.here
    method.to(device)
    with evaluating(method):
        view = evaluation_view(job, method)
        seen = look_inside(method.kept, sources.queries, view, seed=job.run.seed, device=device)
        found, paths = _prototypes(method, folder, device)
    if seen is not None:
        write_inside(folder.artifacts, seen, view, found, paths)


def _prototypes(method: Method, folder: RunFolder, device: torch.device) -> tuple[Prototypes | None, list[str]]:
    """What they stand for, and the names of the images that were asked about; None for a method without prototypes."""
    if not isinstance(method, Assigns) or not folder.embeddings.exists():
        return None, []
    table = pq.read_table(folder.embeddings, columns=["path", "vector"])
    vectors = torch.tensor(table["vector"].to_pylist(), dtype=torch.float32)
    return most_used(method.assigned, vectors, device=device), table["path"].to_pylist()
