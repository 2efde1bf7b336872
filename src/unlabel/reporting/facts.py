"""What stands on the page in words and tables: verdict, key numbers, protocol, settings, cost."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import sqrt
from typing import Any

from unlabel import methods
from unlabel.diagnostics import WRONG, title
from unlabel.diagnostics import verdict as judge
from unlabel.engine.folder import trained_updates
from unlabel.engine.kinds import TAUGHT, kind_of
from unlabel.errors import command
from unlabel.reporting.charts import CONTROLS, Table
from unlabel.reporting.classified import ROLES, WHO, top1
from unlabel.reporting.files import RunFiles
from unlabel.reporting.scores import accuracies
from unlabel.reporting.words import counted, duration, finite, memory, nested, number, percent, short_name, title_of

_TONES = {"learning": "good", **dict.fromkeys(WRONG, "bad")}  # of all other states "open"
_MEASURES = {
    "fd": "Fréchet distance to the target",
    "kid": "Kernel distance to the target",
    "kid_std": "… its standard deviation",
    "edges": "Edges redrawn",
    "psnr": "PSNR to the partner, dB",
    "ssim": "SSIM to the partner",
}


@dataclass(frozen=True)
class Verdict:
    """state (a word or two), sentence, advice; tone is "good", "bad" or "open" and only picks the colour."""

    state: str
    sentence: str
    advice: str
    tone: str


@dataclass(frozen=True)
class Tile:
    """One key number. bars: (who, value in words, length in per cent, colour by role)."""

    label: str
    value: str
    note: str
    bars: list[tuple[str, str, float, str]]


def unmeasured(evaluation: Mapping[str, Any]) -> str:
    """Why there is no accuracy."""
    if broken := finite(evaluation.get("non_finite")):
        are = "embedding is no finite number" if broken == 1 else "embeddings are not finite numbers"
        return f"kNN and linear accuracy were not measured: {broken:,.0f} {are}."
    if evaluation.get("classes"):
        return (
            "kNN and linear accuracy were not measured: it takes two classes, and images apart from those remembered."
        )
    return "No labels: kNN and linear accuracy cannot be computed."


def heading(run: RunFiles) -> tuple[str, list[str]]:
    """The page's title, and the facts that stand below it."""
    options, plan = nested(run.run.get("run")), nested(run.run.get("plan"))
    name = str(options.get("method", "A run"))
    if name in (*methods.available(), *TAUGHT):  # else a method of another version of unlabel: its plain name will do
        name = kind_of(name).title
    data = nested(run.run.get("data"))
    spec = data.get("spec", options.get("data"))
    title = f"{name} on {short_name(str(spec))}" if spec else name
    epochs = plan.get("epochs", options.get("epochs"))
    updates, per_epoch = finite(trained_updates(run.run)), finite(run.run.get("updates_per_epoch"))
    if updates and per_epoch:
        epochs = round(updates / per_epoch, 1)
        epochs = int(epochs) if epochs == int(epochs) else epochs
    backbone = nested(run.run.get("backbone")).get("name", options.get("backbone"))
    images = data.get("images")  # a count, or one for each collection
    counts = images if isinstance(images, list) else [images]
    said = [
        str(backbone) if backbone not in (None, "auto") else "",
        " and ".join(f"{n:,}" for n in counts) + " images" if all(isinstance(n, int) for n in counts) else "",
        f"{number(epochs)} epoch{'' if epochs == 1 else 's'}" if epochs is not None else "",
        f"batch {plan['batch_size']}" if "batch_size" in plan else "",
        f"seed {options['seed']}" if "seed" in options else "",
    ]
    return title, [words for words in said if words]


def verdict(run: RunFiles) -> Verdict:
    """The verdict of the evaluation; without one, what the course of training says."""
    found = nested((run.evaluation or {}).get("verdict"))
    if not found.get("state"):
        values = run.run.get("collapse_values")
        found = asdict(
            judge(
                [*run.updates, *run.monitors],
                final=run.evaluation,
                finished=bool(run.run.get("finished")),
                collapse_values=values if isinstance(values, dict) else None,
            )
        )
    state = str(found["state"])
    sentence, advice = (str(found.get(name) or "") for name in ("sentence", "advice"))
    return Verdict(title(state), sentence, advice, _TONES.get(state, "open"))


def status(run: RunFiles) -> list[str]:
    """That it ended early, and what is still to be done with this run, one sentence each."""
    stopped = nested(run.run.get("stopped"))
    said = []
    if stopped:
        said.append(
            f"Training ended after {stopped.get('updates'):,} of {stopped.get('planned'):,} updates, as "
            f"`stop_when_done` decided after update {stopped.get('decided'):,}. {stopped.get('sentence')}"
        )
    total, seen = trained_updates(run.run), run.updates[-1]["update"] if run.updates else 0
    if run.run.get("finished") is False:
        done = (
            f"{seen:,} of {total:,} updates are"
            if isinstance(total, int) and total
            else f"{counted(seen, 'update is', 'updates are')}"
        )
        began = nested(run.run.get("run")).get("method") if run.run.get("origin") else "pretrain"
        said.append(f"Training is not finished: {done} done. `{command(began, '--resume', run.folder)}` goes on.")
    elif run.evaluation is None:
        said.append(
            f"The representation was not evaluated: `{command('evaluate', run.folder)}` compares it with its controls."
        )
    return said


def tiles(run: RunFiles) -> list[Tile]:
    """The key numbers, those that exist."""
    evaluation = run.evaluation or {}
    found = accuracies(evaluation)
    made = []
    labels = {"kNN": "kNN accuracy", "Linear top-1": "Linear probe, top-1"}
    for name, label in labels.items():
        if name in found:
            scores = found[name]
            bars = [
                (words, percent(scores.get(who)), max(0.0, min(scores[who], 100.0)), who)
                for who, words in CONTROLS.items()
                if who in scores
            ]
            top5 = found.get("Linear top-5", {}).get("run")
            note = (
                _spread(evaluation, scores["run"])
                if name == "kNN"
                else f"top-5: {percent(top5)}"
                if top5 is not None
                else ""
            )
            made.append(Tile(label, percent(scores["run"]), note, bars))
    closer = finite(nested(evaluation.get("translation")).get("closer"))
    if closer is not None:
        made.append(
            Tile(
                "Closer to the target", percent(100 * closer), "of the distance between the two collections is gone", []
            )
        )
    right = top1(evaluation)
    if "run" in right:
        bars = [(WHO[who], percent(p), max(0.0, min(p, 100.0)), ROLES[who]) for who, p in right.items()]
        made.append(Tile("Classified right, top-1", percent(right["run"]), _spread(evaluation, right["run"]), bars))
    made += _of_texts(nested(evaluation.get("texts")))
    rank, dimensions = finite(evaluation.get("effective_rank")), finite(evaluation.get("dimensions"))
    if rank is None and run.monitors:
        rank = finite(run.monitors[-1].get("effective_rank"))
        dimensions = finite(run.monitors[-1].get("dimensions"))
    if rank is not None:
        made.append(
            Tile(
                "Effective rank",
                number(round(rank, 1)),
                f"of {dimensions:,.0f} directions" if dimensions else "directions in use",
                [],
            )
        )
    if run.updates:
        last = finite(run.updates[-1].get("loss"))
        made.append(
            Tile(
                "Last loss",
                "not finite" if last is None else number(last),
                f"after {counted(run.updates[-1]['update'], 'update', 'updates')}",
                [],
            )
        )
    cost = nested(run.run.get("cost"))
    if finite(cost.get("seconds")) is not None:
        speed = finite(cost.get("images_per_second"))
        made.append(
            Tile("Training time", duration(cost["seconds"]), f"{number(round(speed))} images/s" if speed else "", [])
        )
    return made


def _of_texts(found: dict[str, Any]) -> list[Tile]:
    """What a method that reads knows, beside guessing."""
    named, searched = nested(found.get("zeroshot")), nested(nested(found.get("retrieval")).get("text_to_image"))
    made = []
    if finite(named.get("top1")) is not None:
        made.append(Tile("Zero-shot, top-1", percent(named["top1"]), f"guessing: {percent(named['chance1'])}", []))
    if finite(first := nested(searched.get("at")).get("1")) is not None:
        guessing = f"of {searched['queries']:,}; guessing: {percent(searched['chance']['1'])}"
        made.append(Tile("Image found first by its text", percent(first), guessing, []))
    return made


def _spread(evaluation: dict[str, Any], accuracy: float) -> str:
    """One standard error of a share: sqrt(p (1 - p) / n)."""
    queries = nested(evaluation.get("protocol")).get("queries")
    if not isinstance(queries, int) or queries < 1:
        return ""
    p = min(max(accuracy / 100, 0.0), 1.0)
    return f"± {100 * sqrt(p * (1 - p) / queries):.1f} (one standard error, {queries:,} queries)"


def protocol(evaluation: dict[str, Any]) -> str:
    """The protocol in one line, to stand beside the numbers; what is long or nested stands among the settings."""
    found = {
        name: value
        for name, value in nested(evaluation.get("protocol")).items()
        if name not in ("seed", "random", "pixels")
    }
    plain = {
        name: number(value) for name, value in found.items() if isinstance(value, str | int | float) and value != ""
    }
    return " · ".join(f"{name.replace('_', ' ')}: {value}" for name, value in plain.items())


def protocols(evaluation: dict[str, Any]) -> dict[str, Any]:
    """The protocols of what has no place of its own for them, by kind of number."""
    return nested(evaluation.get("protocols"))


def shape_protocols(evaluation: dict[str, Any]) -> list[tuple[str, str]]:
    """(what it is of, the protocol in one line) of the numbers that describe the cloud of embeddings."""
    found, titles = protocols(evaluation), {"shape": "Protocol", "lidar": "Protocol of LiDAR"}
    return [(words, protocol({"protocol": found[name]})) for name, words in titles.items() if name in found]


def remarks(evaluation: dict[str, Any]) -> list[str]:
    """Sentences that the evaluation says of itself: what it took over, which control it lacks."""
    found = evaluation.get("remarks")
    return [text for text in found if isinstance(text, str)] if isinstance(found, list) else []


def shape_numbers(evaluation: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(name, number, what it means) of the numbers that describe the cloud of embeddings."""
    dimensions = finite(evaluation.get("dimensions"))
    meanings = {
        "effective_rank": (
            "Effective rank",
            f"of {dimensions:,.0f} directions carry the embeddings"
            if dimensions
            else "directions carry the embeddings",
        ),
        "dimensions_99": ("99 % of variance", "lies in so many directions"),
        "participation_ratio": ("Participation ratio", "directions share the variance; weak ones hardly count"),
        "spectral_decay": ("Spectral decay", "how fast the spectrum falls; about 1 is good, 0 is noise"),
        "lidar": ("LiDAR", "directions tell images apart rather than views of one image"),
        "alignment": ("Alignment", "mean squared distance of two views of one image; lower is better"),
        "uniformity": ("Uniformity", "how evenly embeddings spread over the sphere; lower is better"),
        "tolerance": ("Tolerance", "similarity of different images of one class; read it beside uniformity"),
        "std": ("Feature spread", "standard deviation of a normalised feature; 0 is a collapse"),
        "mean_cosine": ("Mean cosine", "similarity of two different images; 1 is a collapse"),
        "norm": ("Length", "of an embedding, on average"),
    }
    return [
        (title, number(evaluation[key]), text)
        for key, (title, text) in meanings.items()
        if evaluation.get(key) is not None
    ]


def translated(evaluation: dict[str, Any]) -> Table | None:
    """The numbers of an image translation beside those of doing nothing."""
    found = nested(evaluation.get("translation"))
    before, after = nested(found.get("identity")), nested(found.get("translation"))
    rows = [[_MEASURES.get(key, title_of(key)), number(before.get(key)), number(after[key])] for key in after]
    caption = "The translation and, as its control, the untouched inputs"
    return Table(caption, ["", "untouched", "translated"], rows, numeric=True) if rows else None


def translation(evaluation: dict[str, Any]) -> list[Table]:
    """The same, and how it was measured."""
    found = nested(evaluation.get("translation"))
    numbers = translated(evaluation)
    rest = flat({key: value for key, value in found.items() if key not in ("identity", "translation")})
    how = [Table("How it was measured", ["", ""], [list(row) for row in rest])] if rest else []
    return [numbers, *how] if numbers else how


def settings(run: RunFiles) -> list[Table]:
    """Everything that was chosen for this run, a table for each group."""
    origin = nested(run.run.get("origin"))
    groups = {
        "Run": run.run.get("run"),
        "Goes on from": {"run": origin["path"]} if "path" in origin else None,
        "Hyperparameters": run.run.get("hyper"),
        "Optimisation": run.run.get("plan"),
        "Backbone": run.run.get("backbone"),
        "Machine settings": run.run.get("settings"),
        "Time budget": run.run.get("budget"),
        "Evaluation protocol": (run.evaluation or {}).get("protocol") or run.run.get("protocol"),
    }
    return [made for name, values in groups.items() if (made := _settings(name, values))]


def cost(run: RunFiles) -> Table | None:
    """Time, speed, memory."""
    found = nested(run.run.get("cost"))
    words = {
        "seconds": ("Training", duration),
        "aside": ("Readings and checkpoints", duration),
        "evaluation_seconds": ("Evaluation", duration),
        "images_per_second": ("Images per second", lambda v: number(round(v))),
        "peak_memory_mb": ("Peak memory", memory),
    }
    rows = [[title, show(found[key])] for key, (title, show) in words.items() if finite(found.get(key)) is not None]
    rows += [[title_of(key), shown(value)] for key, value in found.items() if key not in words]
    return Table("Cost", ["", ""], rows) if rows else None


def origins(run: RunFiles) -> list[Table]:
    """Versions, machine and data."""
    versions = {"unlabel": run.run.get("unlabel"), **nested(run.run.get("versions"))}
    versions["git commit of the working folder"] = run.run.get("git")
    groups = {
        "Versions": {k: v for k, v in versions.items() if v},
        "Machine": run.run.get("machine"),
        "Data": run.run.get("data"),
    }
    return [made for name, values in groups.items() if (made := _settings(name, values))]


def flat(values: Mapping[str, Any], before: str = "") -> list[tuple[str, str]]:
    """Nested values as (name, text), names joined by dots."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += flat(value, f"{before}{key}.")
        else:
            rows.append((f"{before}{key}", shown(value)))
    return rows


def _settings(caption: str, values: Any) -> Table | None:
    rows = [list(row) for row in flat(nested(values))]
    return Table(caption, ["", ""], rows) if rows else None


def shown(value: Any) -> str:
    """A setting exactly: as it would be typed, not rounded."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.10g}"
    if isinstance(value, list | tuple):
        return ", ".join(shown(entry) for entry in value) or "none"
    return str(value)
