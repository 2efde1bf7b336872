"""What a look through a folder found, as plain values: the facts, and what follows from them alone."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, get_args

TINY = 16  # pixels: a shorter side below this leaves nothing to crop
HUGE = 50_000_000  # pixels: decoding one takes a second
FLAT = 3.0  # standard deviation of levels (of 255) below which a picture, or its grey picture, is nearly constant
UNEVEN = 10.0  # times as many pictures in the largest class as in the smallest: told as a warning

Likeness = Literal["exact", "near", "run"]
"""The same file byte for byte; nearly the same picture by its pixels; nearly the same to the network of a run."""


@dataclass
class Leak:
    """Pictures in more than one split that are the same, or nearly the same."""

    kind: Likeness
    paths: list[str]


@dataclass
class Scan:
    """What a folder holds. Paths are printable; counts are of readable pictures unless they say otherwise.

    root:       the folder as it was given; folder: the one in it that holds the pictures.
    readable:   number of pictures that decode.
    unreadable: (path, reason) of those that do not.
    truncated:  paths of those of them whose file ends too early.
    ignored:    number of files that are not named like pictures (clutter apart).
    bytes:      size of all pictures on disk, readable or not.
    tiny, huge: paths of pictures with a shorter side below TINY, or more than HUGE pixels.
    constant:   paths of pictures of which no channel has levels with a standard deviation of FLAT or more.
    duplicates: groups of paths whose files are the same byte for byte.
    near:       groups of paths of nearly the same picture (`perceptual`), those of one grey left out, and of each group
                of duplicates all but the first.
    near_by_run: the same by the embeddings of a run; None: no run was asked.
    leaks:      groups of paths that are in more than one split.
    conflicts:  groups of duplicates that are in more than one class.
    smallest, largest: (width, height) of the pictures with the fewest and the most pixels.
    shorter_side: the median, in pixels, of the pictures to train on.
    sides:      histogram of shorter sides in pixels.
    aspects:    histogram of longer side to shorter side.
    brightness: histogram of the mean grey level, 0 to 255, in ten bins.
    formats, modes: histograms of file formats ("JPEG") and channel modes ("RGB", "L", "CMYK", "I;16", ...).
    colours:    histogram of what the pixels show: "colour" or "grey", whatever the mode.
    splits:     number of pictures in each split, or None where there are none; train: the name of the training split.
    classes:    number of pictures in each class of the training split (or of the whole), or None without classes.
    names:      the file system's name of each path named above that is not UTF-8, and so cannot be opened by its path.
    """

    root: str
    folder: str = ""
    readable: int = 0
    unreadable: list[tuple[str, str]] = field(default_factory=list)
    truncated: list[str] = field(default_factory=list)
    ignored: int = 0
    bytes: int = 0
    tiny: list[str] = field(default_factory=list)
    huge: list[str] = field(default_factory=list)
    constant: list[str] = field(default_factory=list)
    duplicates: list[list[str]] = field(default_factory=list)
    near: list[list[str]] = field(default_factory=list)
    near_by_run: list[list[str]] | None = None
    leaks: list[Leak] = field(default_factory=list)
    conflicts: list[list[str]] = field(default_factory=list)
    smallest: tuple[int, int] | None = None
    largest: tuple[int, int] | None = None
    shorter_side: float | None = None
    sides: dict[str, int] = field(default_factory=dict)
    aspects: dict[str, int] = field(default_factory=dict)
    brightness: dict[str, int] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    modes: dict[str, int] = field(default_factory=dict)
    colours: dict[str, int] = field(default_factory=dict)
    splits: dict[str, int] | None = None
    train: str | None = None
    classes: dict[str, int] | None = None
    names: dict[str, str] = field(default_factory=dict)

    @property
    def training(self) -> int:
        """Number of pictures to train on: those of the training split, or all."""
        return self.readable if self.splits is None else self.splits.get(self.train or "", 0)

    @property
    def balance(self) -> tuple[str, str, float] | None:
        """Name of the smallest and of the largest class, and how many times larger that is; None without classes."""
        if not self.classes or min(self.classes.values()) == 0:
            return None
        names = sorted(self.classes, key=lambda name: self.classes[name] if self.classes else 0)
        return names[0], names[-1], self.classes[names[-1]] / self.classes[names[0]]

    def histograms(self) -> dict[str, dict[str, int]]:
        """Pictures by each of their facts, as {title: {bin: count}}; facts of which nothing is known are left out."""
        found = {
            "shorter side, px": self.sides, "shape": self.aspects, "mean grey level": self.brightness,
            "format": self.formats, "channels": self.modes, "what they show": self.colours,
            "split": self.splits, "class": self.classes,
        }  # fmt: skip
        return {title: dict(counts) for title, counts in found.items() if counts}

    def leaked(self, kind: Likeness) -> int:
        """How many pictures outside the training split have their like in it, without those of a closer likeness.

        "exact" is closest, then "near", then "run".
        """
        known: set[str] = set()
        for one in get_args(Likeness):
            found = set[str]()
            for leak in self.leaks:
                outside = [path for path in leak.paths if self.split_of(path) != self.train]
                if leak.kind == one and len(outside) < len(leak.paths):
                    found.update(outside)
            if one == kind:
                return len(found - known)
            known |= found
        raise ValueError(kind)

    def undivided(self, groups: Iterable[list[str]]) -> list[list[str]]:
        """Those groups that lie in one split, or all where there are none: the others are leaks."""
        return [group for group in groups if self.splits is None or len(set(map(self.split_of, group))) == 1]

    def copies(self) -> list[list[str]]:
        """Those groups of duplicates that are neither leaks nor conflicts."""
        told = {group[0] for group in self.conflicts}
        return [group for group in self.undivided(self.duplicates) if group[0] not in told]

    def split_of(self, path: str) -> str:
        """The split that a path is in, where there are splits."""
        return path[len(self.folder) + 1 :].partition("/")[0]

    def leaks_of(self, kind: Likeness, groups: Iterable[list[str]]) -> list[Leak]:
        """Those groups that are in several splits; of a picture that was copied, the copies count too."""
        if self.splits is None:
            return []
        copies = {group[0]: group for group in self.duplicates} if kind != "exact" else {}
        whole = ([path for first in group for path in copies.get(first, [first])] for group in groups)
        return [Leak(kind, group) for group in whole if len({self.split_of(path) for path in group}) > 1]

    def class_of(self, path: str) -> str:
        """The class folder that a path is in, where there are classes."""
        inside = path[len(self.folder) + 1 :]
        return (inside if self.splits is None else inside.partition("/")[2]).partition("/")[0]

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        values = asdict(self)
        del values["names"]
        return values
