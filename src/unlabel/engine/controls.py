"""Controls that another run has measured already: the same network, images and protocol give the same numbers."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from unlabel.engine.folder import RunFolder, read_json
from unlabel.errors import Fault
from unlabel.nn.backbones import Spec


def measured_controls(place: str, folder: RunFolder, spec: Spec | None) -> dict[str, Any] | None:
    """The evaluation of a finished run in `place` whose controls are those of the run in `folder`; None: there is none.

    place  a run folder, or a folder of them
    spec   of the kept network, which the other run must have kept too, of the same images with the same normalisation

    Whether the protocol is the same is left to `evaluate`. Fault where `place` is no folder.
    """
    if not Path(place).is_dir():
        raise Fault(f"there is no folder {place} to take controls from: leave out the option `controls`, or correct it")
    if spec is None:
        return None
    own, facts = folder.read(), read_json(folder.backbone, f"{folder.backbone} is damaged")
    for path in (Path(place), *sorted(Path(place).iterdir())):
        other = RunFolder(path)
        if path == folder.path or not (
            other.run_json.exists() and other.evaluation.exists() and other.backbone.exists()
        ):
            continue
        stored, kept = other.read(), read_json(other.backbone, f"{other.backbone} is damaged")
        same_network = all(kept.get(name) == facts.get(name) for name in (*asdict(spec), "mean", "std"))
        if (
            same_network
            and all(stored.get(name) == own.get(name) for name in ("unlabel", "versions"))
            and (stored["data"]["fingerprint"] == own["data"]["fingerprint"])
        ):
            return dict(read_json(other.evaluation, f"{other.evaluation} is damaged"))
    return None
