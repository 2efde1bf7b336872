"""Several runs side by side: seeds of one setting as one row, one section for each protocol, nothing mixed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scipy.stats import spearmanr

from unlabel.reporting.alike import alike
from unlabel.reporting.apart import (
    Choice,
    differing,
    names_apart,
    row_names,
    seeds_of,
    settings_of,
    shared,
    what_differs,
)
from unlabel.reporting.controls import KINDS, conditions, controls, key_of, weights_of
from unlabel.reporting.members import Member
from unlabel.reporting.rows import ALL, Column, Row, known_columns, numbers_at
from unlabel.reporting.stated import LIVE, Told, stated, stated_of
from unlabel.reporting.words import counted, listed

MEASURES = ("effective_rank", "participation_ratio", "lidar", "spectral_decay", "uniformity")
"""Columns of measures that need no labels, which may tell the accuracy all the same."""

_TELLING = ("method", "data", "data_b", "limit", "network", "budget", "epochs", "batch_size", "size")
"""Of what all runs have in common, what is said first."""

_ENOUGH = 5  # rows for a rank correlation

BEST = {
    "features": ("knn", "top1"),
    "segmentation": ("miou",),
    "segmentation-pspnet": ("pspnet_miou",),
    "segmentation-pspnet-tuned": ("tuned_miou",),
    "classification": ("right1",),
    "translation": ("fd",),
}
"""What rows are sorted by, the best first; of the Fréchet distance the least is."""


@dataclass
class Entry:
    """Runs that differ in nothing but their seed: what they were decided to be, the runs, the name of their row.

    usual  what most rows of its kind have, where their names say nothing else
    """

    settings: dict[str, Choice]
    members: list[Member]
    name: str = ""
    usual: dict[str, Choice] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What its numbers are of, or will be."""
        if kinds := [kind for member in self.members for kind in member.kinds]:
            return kinds[0]
        run = self.members[0].run
        return "classification" if run.get("origin") else "translation" if run["run"].get("data_b") else "features"


@dataclass
class Line:
    """An entry within a section: its numbers there, how many of its runs they are of, and its state in words."""

    entry: Entry
    row: Row
    members: list[Member]
    state: str

    @property
    def seeds(self) -> str:
        """ "3", or "2 of 3" where not all runs have numbers here."""
        known = len([member for member in self.members if member.kinds])
        return str(known) if known == len(self.entry.members) else f"{known} of {len(self.entry.members)}"


@dataclass
class Section:
    """Runs whose numbers compare: of one kind, measured on the same images by one protocol, with their controls.

    told      of every measured run the name of its row and evaluation.json, without what is left out
    notes     which parts of which runs had another protocol of their own, and are left out
    not_live  runs of which live kNN is such a part
    """

    kind: str
    conditions: dict[str, Choice]
    lines: list[Line]
    controls: list[Row]
    columns: dict[str, Column]
    title: str = ""
    told: Told = ()
    notes: list[str] = field(default_factory=list)
    not_live: set[Path] = field(default_factory=set)

    @property
    def usual(self) -> list[str]:
        """What is so in every row whose name does not say otherwise."""
        found = self.lines[0].entry.usual if self.lines else {}
        return [value.named(name) for name, value in found.items()]

    def protocols(self, names: Sequence[str]) -> list[str]:
        """The protocols of these columns, one line each."""
        return stated(self.told, [self.columns[name] for name in names])

    @property
    def live_protocol(self) -> str:
        """That of live kNN; "" where no run says it."""
        return stated_of(self.told, LIVE)

    @property
    def rows(self) -> list[Row]:
        """Controls first."""
        return [*self.controls, *(line.row for line in self.lines)]


@dataclass
class Comparison:
    """What `compare` found.

    common  what all runs have in common, by name
    notes   what a reader must know before comparing, one sentence each
    page    the HTML page, if one was written
    """

    entries: list[Entry]
    sections: list[Section]
    common: dict[str, Choice]
    notes: list[str] = field(default_factory=list)
    page: Path | None = None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, means and standard deviations beside the value of each seed."""
        return {
            "runs": sum(len(entry.members) for entry in self.entries),
            "common": {name: value.text for name, value in self.common.items()},
            "notes": self.notes,
            "sections": [_section_as_dict(section) for section in self.sections],
            "page": None if self.page is None else str(self.page),
        }


def comparison(members: Sequence[Member]) -> Comparison:
    """Put runs side by side."""
    by_settings: dict[Any, Entry] = {}
    for member in members:
        settings = settings_of(member.run)
        by_settings.setdefault(key_of(settings), Entry(settings, [])).members.append(member)
    entries = list(by_settings.values())
    for kind in KINDS:
        some = [entry for entry in entries if entry.kind == kind]
        names, usual = row_names([entry.settings for entry in some])
        for entry, name in zip(some, names, strict=True):
            entry.name, entry.usual = name, usual
    sections = _sections(entries)
    common = shared([entry.settings for entry in entries])
    return Comparison(entries, sections, common, _notes(members, entries, sections))


def _sections(entries: Sequence[Entry]) -> list[Section]:
    made: dict[Any, Section] = {}
    for entry in entries:
        groups: dict[Any, list[Member]] = {}
        for member in entry.members:
            for kind in member.kinds:
                where = conditions(member.run, member.found, kind)
                key = (kind, key_of(where))
                made.setdefault(key, Section(kind, where, [], [], {}))
                groups.setdefault(key, []).append(member)
        for key, some in groups.items():
            # A seed without numbers is named in every section of its row, so that nobody misses it there.
            made[key].lines.append(_line(entry, [*some, *(member for member in entry.members if not member.kinds)]))
    for entry in entries:
        if not any(member.kinds for member in entry.members):
            _home(entry, made).lines.append(_line(entry, entry.members))
    sections = sorted(made.values(), key=lambda one: (list(KINDS).index(one.kind), not _measured(one)))
    for section in sections:
        _fill(section)
    _title(sections)
    return sections


def _line(entry: Entry, members: list[Member]) -> Line:
    states = Counter(member.state for member in members)
    words = [state if count == len(members) else f"{state} ({count})" for state, count in states.items()]
    return Line(entry, Row(entry.name), members, ", ".join(words))


def _home(entry: Entry, made: dict[Any, Section]) -> Section:
    """Where a row without numbers stands: beside runs of its kind on the same images, else by itself."""
    kind = entry.kind
    for section in made.values():
        if section.kind == kind and any(
            line.entry.settings["data"] == entry.settings["data"] for line in section.lines
        ):
            return section
    where = {name: entry.settings[name] for name in ("data", "size")}
    return made.setdefault((kind, key_of(where)), Section(kind, where, [], [], {}))


def _measured(section: Section) -> bool:
    return any(member.kinds for line in section.lines for member in line.members)


def _fill(section: Section) -> None:
    """The numbers of a section, its controls, and its rows in order."""
    kind, lines = section.kind, section.lines
    measured = [member for line in lines for member in line.members if kind in member.kinds]
    told = [{**member.found, "live": member.run.get("live")} for member in measured]
    kept, section.notes = alike(told, [str(member.place) for member in measured])
    section.not_live = {member.place for member, one in zip(measured, kept, strict=True) if "live" not in one}
    numbers = dict(zip((member.place for member in measured), kept, strict=True))
    section.told = [
        (line.row.name, numbers[member.place]) for line in lines for member in line.members if member.place in numbers
    ]
    columns = _columns(kind) | (_factors(kept) if kind == "features" else {})
    for line in lines:
        known = [member for member in line.members if kind in member.kinds]
        for member in known or [member for member in line.members if member.finished]:  # of which the cost is known
            line.row.add(**numbers_at(numbers.get(member.place, {"cost": member.found["cost"]}), columns))
    section.controls, _ = controls([(member.run, numbers[member.place]) for member in measured], columns, [kind])
    section.columns = {name: columns[name] for name in known_columns(section.rows, columns)}
    first = BEST[kind]
    sign = 1 if kind == "translation" else -1

    def order(line: Line) -> tuple[bool, float]:
        value = next((mean for name in first if (mean := line.row.mean(name)) is not None), None)
        return value is None, 0.0 if value is None else sign * value

    lines.sort(key=order)


def _columns(kind: str) -> dict[str, Column]:
    """The columns that say something of this kind."""
    elsewhere = [*(other for other in KINDS if other != kind), *(["labels"] if kind != "classification" else [])]
    here = [kind, "cost", "labels"]
    heads = {name: str(column.path).split(".")[0] for name, column in ALL.items()}
    return {
        name: column
        for name, column in ALL.items()
        if (heads[name] not in elsewhere if kind == "features" else heads[name] in here)
    }


def _factors(measured: Sequence[dict[str, Any]]) -> dict[str, Column]:
    """A column for each factor of the images, as the evaluation names them."""
    made: dict[str, Column] = {}
    for evaluation in measured:
        found = evaluation.get("factors")
        for name, entry in (found if isinstance(found, dict) else {}).items():
            if isinstance(entry, dict):
                is_class = entry.get("kind", "class") == "class"
                title = str(name).replace("_", " ")
                made[f"factor {name}"] = Column(title, 1 if is_class else 2, ("factors", str(name), "run"), board=False)
    return made


def _title(sections: Sequence[Section]) -> None:
    """Titles that say what tells sections of one kind apart."""
    bases = [KINDS[one.kind] if _measured(one) else f"{KINDS[one.kind]}, without numbers" for one in sections]
    for section, name in zip(sections, names_apart(bases, [one.conditions for one in sections], most=2), strict=True):
        section.title = name


def _notes(members: Sequence[Member], entries: Sequence[Entry], sections: Sequence[Section]) -> list[str]:
    said = []
    for kind, title in KINDS.items():
        some = [section for section in sections if section.kind == kind and _measured(section)]
        if len(some) > 1:
            what = what_differs([section.conditions for section in some])
            said.append(
                f"{title}: these runs were not all measured alike ({what} differ), so they stand in {len(some)} "
                "tables; numbers compare within a table only."
            )
        for section in some:
            if whose := _whose(section):
                said.append(f"{section.title}: numbers are of other weights in some rows than in others: {whose}.")
            said += [f"{section.title}, {note}" for note in section.notes]
    for entry in entries:
        seeds = Counter(seeds_of(member.run) for member in entry.members)
        for seed, count in seeds.items():
            if count > 1:
                names = listed([m.place.name for m in entry.members if seeds_of(m.run) == seed])
                said.append(f"{entry.name}: {names} have the same seed, {seed[0]}; all of them count.")
    machines = {str(_machine(member.run)) for member in members if member.run.get("machine")}
    if len(machines) > 1:
        said.append(f"The runs are of {len(machines)} different machines: their times and memory do not compare.")
    for name, what in (("unlabel", "unlabel"), ("torch", "torch")):
        versions = {v for member in members if (v := member.run.get(name) or _versions(member.run).get(name))}
        if len(versions) > 1:
            said.append(f"The runs are of different versions of {what}: {listed(sorted(map(str, versions)))}.")
    for member in members:
        said += [f"{member.place}: {note}" for note in member.files.notes]
    return said


def _whose(section: Section) -> str:
    """The rows by whose weights were measured, in words; "" where it is the same in all."""
    rows: dict[str, list[str]] = {}
    for line in section.lines:
        known = [member for member in line.members if section.kind in member.kinds]
        for words in dict.fromkeys(weights_of(member.found, section.kind) or "not said" for member in known):
            rows.setdefault(words, []).append(line.row.name)
    return "; ".join(f"{words}: {listed(names)}" for words, names in rows.items()) if len(rows) > 1 else ""


def _machine(run: dict[str, Any]) -> list[Any]:
    """What the speed of a run depends on."""
    machine = run["machine"]
    return [machine.get(name) for name in ("processor", "cores", "gpus")] if isinstance(machine, dict) else []


def _versions(run: dict[str, Any]) -> dict[str, Any]:
    versions = run.get("versions")
    return versions if isinstance(versions, dict) else {}


def _section_as_dict(section: Section) -> dict[str, Any]:
    states = {id(line.row): line for line in section.lines}
    different = differing([line.entry.settings for line in section.lines])
    rows = []
    for row in section.rows:
        line = states.get(id(row))
        numbers = {
            name: {"mean": row.mean(name), "std": row.deviation(name), "values": row.numbers[name]}
            for name in section.columns
            if row.numbers.get(name)
        }
        made: dict[str, Any] = {"name": row.name, "control": line is None, "numbers": numbers}
        if line is not None:
            made |= {
                "state": line.state,
                "seeds": [seeds_of(member.run)[0] for member in line.members],
                "runs": [str(member.place) for member in line.members],
                "settings": {name: line.entry.settings[name].text for name in different if name in line.entry.settings},
            }
        rows.append(made)
    return {
        "title": section.title,
        "rank_correlations": rank_correlations(section),
        "kind": section.kind,
        "unless_said_otherwise": section.usual,
        "measured": {name: value.words or value.text for name, value in section.conditions.items()},
        "protocols": [*section.protocols(list(section.columns)), *filter(None, [section.live_protocol])],
        "columns": {name: column.title for name, column in section.columns.items()},
        "rows": rows,
    }


def rank_correlations(section: Section) -> dict[str, float]:
    """Spearman's rank correlation of each measure that needs no labels with the accuracy, over at least five rows."""
    made = {}
    for name in MEASURES:
        pairs = [pair for line in section.lines if None not in (pair := (line.row.mean(name), line.row.mean("knn")))]
        if len(pairs) >= _ENOUGH and all(len(set(values)) > 1 for values in zip(*pairs, strict=True)):
            made[name] = float(spearmanr(*zip(*pairs, strict=True)).statistic)
    return made


def heading(found: Comparison) -> tuple[str, list[str]]:
    """The title of a comparison; how many runs it is of and the most telling of what they share."""
    runs = sum(len(entry.members) for entry in found.entries)
    title = found.entries[0].name if len(found.entries) == 1 else f"{len(found.entries)} rows beside their controls"
    told = {name: found.common[name] for name in _TELLING if name in found.common}
    said = [
        value.text if name in ("method", "data", "network") else value.named(name)
        for name, value in told.items()
        if value.value is not None
    ]
    return title, [counted(runs, "run", "runs"), *said]
