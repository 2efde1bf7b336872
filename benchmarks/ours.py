"""Ours for the benchmarks of steps: a run made ready and not begun, updates without a run, a run that tells of them."""

import tempfile
import time
from collections.abc import Callable
from typing import Any

from turns import tell


def prepared(name: str, options: dict[str, Any]) -> tuple:
    """(job, method, first batch) as `unlabel.pretrain` would begin."""
    from unlabel import recipes
    from unlabel.engine import options as engine_options
    from unlabel.engine.fit import loader, prepare
    from unlabel.engine.job import decide
    from unlabel.engine.run import Run
    from unlabel.engine.sources import open_sources

    chosen = engine_options.check(name, options)
    sources = open_sources(Run(**chosen.run))
    job = decide(chosen, recipes.choose(name, "auto", data="", size=32)[1], sources)
    method = prepare(job).train()
    return job, method, loader(job, method, sources.training, 0, 1).batch(0)


def updating(method: Any, batch: Any) -> Callable[[], None]:
    """An update on one batch, whole but for views, log and Lightning: what the examples of others have too."""
    (optimiser,) = method.configure_optimizers()

    def update() -> None:
        method.set_rates([optimiser])
        optimiser.zero_grad()
        method.total(method.loss(batch)).backward()
        method.before_update()
        optimiser.step()
        method.advance()

    return update


def trained(name: str, options: dict[str, Any]) -> None:
    """Training as anyone starts it, that tells when an update is done, and goes on for ever."""
    import unlabel
    from unlabel.engine.callbacks import Beside

    inner, last = Beside.on_train_batch_end, [time.perf_counter()]

    def done(self: Beside, *arguments: Any) -> None:
        inner(self, *arguments)
        now = time.perf_counter()
        tell(now - last[0])
        last[0] = now

    Beside.on_train_batch_end = done  # type: ignore[method-assign]
    with tempfile.TemporaryDirectory() as out:
        unlabel.pretrain(name, **options, epochs=10_000, out=f"{out}/run")
