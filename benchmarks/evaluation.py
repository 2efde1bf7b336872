"""How long kNN and the linear probe take on 50,000 x 512 features and 10,000 queries: unlabel beside others.

    python benchmarks/evaluation.py [--rounds 5] [--memory 50000] [--queries 10000] [--dim 512]

"product and topk" is the least that any exact search by matrix product must do.
"""

import argparse
from collections.abc import Callable

import torch
import torch.nn.functional as F
from common import compete, installed, record
from torch import Tensor

from unlabel.engine.machine import keep_freed_memory
from unlabel.evaluation.knn import knn_predict
from unlabel.evaluation.linear import linear_probe

K, CLASSES, TEMPERATURE = 20, 10, 0.07


def features(count: int, dim: int, seed: int) -> tuple[Tensor, Tensor]:
    """Gaussian clouds that overlap: features [count, dim] and labels [count]."""
    draw = torch.Generator().manual_seed(seed)
    centres = torch.randn(CLASSES, dim, generator=torch.Generator().manual_seed(99)) * 0.15
    labels = torch.randint(0, CLASSES, (count,), generator=draw)
    return centres[labels] + torch.randn(count, dim, generator=draw), labels


def product(memory: Tensor, queries: Tensor) -> int:
    """Cosines and their largest, in parts."""
    m, q = F.normalize(memory, dim=1), F.normalize(queries, dim=1)
    for part in q.split(512):
        (part @ m.T).topk(K, dim=1)
    return len(queries)


def by_lightly(memory: Tensor, labels: Tensor, queries: Tensor) -> int:
    from lightly.utils.benchmarking import knn_predict as theirs

    m = F.normalize(memory, dim=1).T.contiguous()
    for part in F.normalize(queries, dim=1).split(512):
        theirs(part, m, labels, num_classes=CLASSES, knn_k=K, knn_t=TEMPERATURE)
    return len(queries)


def by_faiss(memory: Tensor, queries: Tensor) -> int:
    import faiss

    index = faiss.IndexFlatIP(memory.shape[1])
    index.add(F.normalize(memory, dim=1).numpy())
    index.search(F.normalize(queries, dim=1).numpy(), K)
    return len(queries)


def by_sklearn(memory: Tensor, labels: Tensor, test: Tensor) -> int:
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler().fit(memory.numpy())
    model = LogisticRegression(C=1 / (1e-2 * len(memory)), max_iter=200)
    model.fit(scaler.transform(memory.numpy()), labels.numpy()).score(scaler.transform(test.numpy()), test[:, 0] > 0)
    return len(memory)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--memory", type=int, default=50_000)
    parser.add_argument("--queries", type=int, default=10_000)
    parser.add_argument("--dim", type=int, default=512)
    arguments = parser.parse_args()
    keep_freed_memory()
    memory, labels = features(arguments.memory, arguments.dim, 0)
    queries, truth = features(arguments.queries, arguments.dim, 1)
    size = f"{arguments.memory:,} x {arguments.queries:,} x {arguments.dim}"

    def ours() -> int:
        knn_predict(memory, labels, queries, k=K, temperature=TEMPERATURE)
        return len(queries)

    entries: dict[str, Callable[[], int]] = {"product and topk": lambda: product(memory, queries), "unlabel": ours}
    if installed("lightly"):
        entries["lightly"] = lambda: by_lightly(memory, labels, queries)
    if installed("faiss-cpu"):
        entries["faiss, flat"] = lambda: by_faiss(memory, queries)
    record("knn", f"kNN, {size}, k = {K}", compete(entries, baseline="product and topk", rounds=arguments.rounds),
           unit="queries/s", note="Ratios to torch's matrix product and topk in parts of 512 queries.")  # fmt: skip

    def probe(l2: float | tuple[float, ...]) -> int:
        linear_probe(memory, labels, queries, truth, l2=l2)
        return len(memory)

    entries = {
        "scikit-learn, one penalty": lambda: by_sklearn(memory, labels, queries),
        "unlabel, one penalty": lambda: probe(1e-2),
        "unlabel, penalty chosen of four": lambda: probe((1.0, 1e-1, 1e-2, 1e-3)),
    }
    rows = compete(entries, baseline="scikit-learn, one penalty", rounds=arguments.rounds)
    record("linear", f"Linear probe to convergence, {size}", rows, unit="images/s",
           note="; ".join(f"{row.name}: {arguments.memory / row.rate:.1f} s" for row in rows) + ".")  # fmt: skip


if __name__ == "__main__":
    main()
