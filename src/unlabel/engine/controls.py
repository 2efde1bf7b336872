"""Controls that another run has measured already: the same network, images and protocol give the same numbers."""

from pathlib import Path
from typing import Any

from unlabel.engine.folder import RunFolder, read_json
from unlabel.errors import Fault


def measured_controls(place: str, folder: RunFolder) -> dict[str, Any] | None:
    """The evaluation of a finished run in `place` whose controls are those of the run in `folder`; None: there is none.

    place  a run folder, or a folder of them. A run counts that has kept the same network, be it that of a method, and
           has seen the same images with the same normalisation

    Whether the protocol is the same is left to `evaluate`. Fault where `place` is no folder.
    """
    if not Path(place).is_dir():
        raise Fault(f"there is no folder {place} to take controls from: leave out the option `controls`, or correct it")
    own, network = folder.read(), _network(folder)
    for path in (Path(place), *sorted(Path(place).iterdir())):
        other = RunFolder(path)
        if path == folder.path or not (
            other.run_json.exists() and other.evaluation.exists() and other.backbone.exists()
        ):
            continue
        stored = other.read()
        if (
            _network(other) == network
            and all(stored.get(name) == own.get(name) for name in ("unlabel", "versions"))
            and (stored["data"]["fingerprint"] == own["data"]["fingerprint"])
        ):
            return dict(read_json(other.evaluation, f"{other.evaluation} is damaged"))
    return None


def _network(folder: RunFolder) -> dict[str, Any]:
    """What backbone.json says of the network and of how images come to it; who trained it does not matter."""
    facts = read_json(folder.backbone, f"{folder.backbone} is damaged")
    return {name: value for name, value in facts.items() if name != "method"}
