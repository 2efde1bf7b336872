"""One HTML page from one run folder: everything inside, nothing from the network."""

import json
from base64 import b64encode
from collections.abc import Sequence
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from unlabel.engine.folder import RunFolder, write_atomically
from unlabel.reporting import facts
from unlabel.reporting.charts import Chart, plain
from unlabel.reporting.classified import classification
from unlabel.reporting.confused import confused
from unlabel.reporting.curves import curves
from unlabel.reporting.embedding_map import embedding_map
from unlabel.reporting.extremes import extremes
from unlabel.reporting.files import RunFiles, read_run
from unlabel.reporting.further import further
from unlabel.reporting.gallery import Near, agreement, gallery, label_names, map_data
from unlabel.reporting.geometry import geometry, spectrum
from unlabel.reporting.inside_figures import inside_section
from unlabel.reporting.oddities import oddities
from unlabel.reporting.pictures import picture, sheet_url
from unlabel.reporting.scores import accuracy, factors
from unlabel.reporting.segmented import segmented
from unlabel.reporting.spectra import spectra

_SKIPPED_SHOWN = 200


def write_report(run: Path) -> Path:
    """Writes report.html into a run folder and returns its path.

    run  the folder of a run, finished or not; whatever it lacks is left out of the page with a sentence saying why
    Fault: the folder holds no readable run.json.
    """
    found = read_run(Path(run))
    path = RunFolder(run).report
    # A file name may hold what UTF-8 cannot (a lone surrogate): it is shown as "?".
    write_atomically(path, _page(found).encode("utf-8", "replace"))
    return path


def _page(run: RunFiles) -> str:
    style, scripts = text_of("page.css") + text_of("inside.css"), [get_plotlyjs(), text_of("page.js")]
    content = _content(run)
    mistakes = content["confused"].matrix if content["confused"] else None
    charts = [
        *content["curves"], *content["factors"], content["accuracy"], mistakes, content["spectrum"],
        *content["spectra"], content["geometry"],
    ]  # fmt: skip
    return template("page.html.j2").render(
        **content,
        style=Markup(style),
        scripts=[Markup(script) for script in scripts],
        policy=policy(scripts),
        charts=payload([chart for chart in charts if chart is not None], content["map"]),
    )


def text_of(name: str) -> str:
    """A file beside this one."""
    return files("unlabel.reporting").joinpath(name).read_text(encoding="utf-8")


def template(name: str) -> Template:
    """A template beside this file, which may take macros from others there; everything put into it is escaped."""
    loader = PackageLoader("unlabel.reporting", "")
    environment = Environment(
        loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    return environment.get_template(name)


def payload(charts: Sequence[Chart], map_data: Any = None) -> Markup:
    """What page.js draws, as JSON that can stand inside a page."""
    figures = {chart.id: {"data": chart.data, "layout": chart.layout, "height": chart.height} for chart in charts}
    return _embedded({"figures": figures, "map": map_data})


def _content(run: RunFiles) -> dict[str, Any]:
    """Everything the template speaks of, by name."""
    evaluation = run.evaluation or {}
    title, subtitle = facts.heading(run)
    embeddings, sprite = run.embeddings, run.sprite
    inside = inside_section(run.folder / "artifacts", sprite)
    spectrum_chart, geometry_chart = spectrum(evaluation), geometry(run)
    curve_charts: list[Chart] = curves(run)
    content: dict[str, Any] = {
        "title": title,
        "subtitle": subtitle,
        "verdict": facts.verdict(run),
        "tiles": facts.tiles(run),
        "notes": [*facts.status(run), *run.notes, *facts.remarks(evaluation), *inside.notes],
        "inside": inside,
        "evaluated": run.evaluation is not None,
        "accuracy": accuracy(evaluation),
        "unmeasured": facts.unmeasured(evaluation),
        "protocol": facts.protocol(evaluation),
        "confused": confused(evaluation, run.classes()),
        "further": [*further(evaluation), *segmented(run.folder)],
        "curves": curve_charts,
        "factors": factors(evaluation),
        "factors_protocol": facts.protocol({"protocol": facts.protocols(evaluation).get("factors")}),
        "spectrum": spectrum_chart,
        "spectra": spectra(run),
        "geometry": geometry_chart,
        "live_protocol": facts.protocol({"protocol": run.run.get("live")}),
        "shape_protocols": facts.shape_protocols(evaluation),
        "shape_numbers": facts.shape_numbers(evaluation),
        "classification": classification(evaluation),
        "translation": facts.translation(evaluation),
        "pictures": [
            picture(stem, image) for stem, image in sorted(run.pictures.items(), key=lambda p: (p[0] != "views", p[0]))
        ],
        "settings": facts.settings(run),
        "cost": facts.cost(run),
        "origins": facts.origins(run),
        "skipped": [(line.get("path", "?"), line.get("reason", "?")) for line in run.skipped[:_SKIPPED_SHOWN]],
        "skipped_more": max(0, len(run.skipped) - _SKIPPED_SHOWN),
        "skipped_count": max(len(run.skipped), _count(run.run.get("data"))),
        "sprite_url": sheet_url(sprite.encoded, sprite.image) if sprite else None,
        "map": None,
        "map_how": "",
        "gallery": [],
        "agreement": None,
        "extremes": None,
        "oddities": None,
        "has_embeddings": embeddings is not None and len(embeddings.vectors) > 0,
        "embeds": embeddings is not None or spectrum_chart is not None or not _says_itself(evaluation),
    }
    if embeddings is not None and len(embeddings.vectors) > 1:
        names = label_names(embeddings.labels, run.classes())
        found, near = embedding_map(embeddings), Near.of(embeddings)
        if found is not None:
            content |= {"map": map_data(found, embeddings, sprite, names, near), "map_how": found.how}
        content["agreement"] = agreement(embeddings, near)
        if sprite is not None:
            content["gallery"] = gallery(embeddings, sprite, names, near)
            content["extremes"] = extremes(embeddings, sprite, names, near)
            content["oddities"] = oddities(embeddings, sprite, names, near)
    return content


def _says_itself(evaluation: dict[str, Any]) -> bool:
    """Whether the numbers are of what the network says, and not of embeddings."""
    return bool(evaluation.get("translation") or evaluation.get("classification"))


def _count(data: Any) -> int:
    skipped = data.get("skipped") if isinstance(data, dict) else None
    return skipped if isinstance(skipped, int) else 0


def _embedded(value: Any) -> Markup:
    """JSON that can stand inside a <script> element: no character in it can end the element or begin a comment."""
    text = json.dumps(plain(value), allow_nan=False, separators=(",", ":"))  # ASCII: lone surrogates are escaped too
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def policy(scripts: list[str]) -> str:
    """A content security policy: these scripts and no others run, and nothing is fetched from anywhere."""
    hashes = " ".join(f"'sha256-{b64encode(sha256(script.encode('utf-8')).digest()).decode()}'" for script in scripts)
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data: blob:; "
        "base-uri 'none'; form-action 'none'"
    )
