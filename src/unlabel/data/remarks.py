"""What a scan says that should be known before training, in sentences, the worst first."""

from typing import NamedTuple

from unlabel.data.findings import FLAT, HUGE, TINY, UNEVEN, Likeness, Scan

MASKS = 0.1  # of the pictures nearly constant: told that they may be no pictures
_FEW = 5  # of them, of which nothing is supposed

_SAME: dict[Likeness, str] = {
    "exact": "are also in `{train}`, byte for byte",
    "near": "have nearly the same picture in `{train}`",
    "run": "have a picture in `{train}` that is nearly the same to the network of the run",
}


class Remark(NamedTuple):
    """A sentence; grave: what is measured on this data would mislead."""

    grave: bool
    sentence: str


def remarks(found: Scan) -> list[Remark]:
    """Everything worth knowing of a scan; nothing where nothing is odd."""
    return [*_leaks(found), *_labels(found), *_files(found), *_too_few(found), *_pictures(found)]


def size_on_disk(found: Scan) -> str:
    """How large the files are, with a unit."""
    return f"{found.bytes / 1e6:,.1f} MB" if found.bytes >= 1e5 else f"{found.bytes / 1e3:,.1f} kB"


def _leaks(found: Scan) -> list[Remark]:
    said = []
    for kind, words in _SAME.items():
        leaked, outside = found.leaked(kind), found.readable - found.training
        if leaked:
            which = words.format(train=found.train)
            said.append(
                f"{leaked:,} of {_count(outside, 'picture')} outside the training split {which}: what is measured on "
                "them is too good; take them out"
            )
    between = [leak for leak in found.leaks if found.train not in {found.split_of(path) for path in leak.paths}]
    if between:
        said.append(f"{_count(len(between), 'group')} of the same picture in more than one split for testing")
    return [Remark(True, sentence) for sentence in said]


def _labels(found: Scan) -> list[Remark]:
    said = []
    if found.conflicts:
        many = len(found.conflicts)
        are = "is" if many == 1 else "are"
        said.append(Remark(True, f"{_count(many, 'picture')} {are} in more than one class, byte for byte"))
    if found.balance is not None and found.balance[2] >= UNEVEN and found.classes is not None:
        (small, large, ratio), counts = found.balance, found.classes
        sentence = (
            f"the largest class ({large}, {counts[large]:,}) has {ratio:,.0f} times the pictures of the smallest "
            f"({small}, {counts[small]:,}): accuracy over all images says little of the small ones"
        )
        said.append(Remark(False, sentence))
    return said


def _files(found: Scan) -> list[Remark]:
    count = len(found.unreadable)
    if not count:
        return []
    if not found.readable:
        return [Remark(True, f"none of {_count(count, 'file')} can be read: there is nothing to train on")]
    short = f", {len(found.truncated):,} of them because the file is cut short" if found.truncated else ""
    files = _count(found.readable + count, "file")
    return [Remark(False, f"{count:,} of {files} cannot be read{short}: training leaves them out")]


def _too_few(found: Scan) -> list[Remark]:
    if found.training > 1 or not found.readable:
        return []
    where = "" if found.train is None else f" in `{found.train}`"
    return [Remark(True, f"{_count(found.training, 'picture')} to train on{where}: it takes two at least")]


def _pictures(found: Scan) -> list[Remark]:
    copies = sum(len(group) - 1 for group in found.duplicates)
    near = sum(len(group) - 1 for group in found.near)
    by_run = sum(len(group) - 1 for group in found.near_by_run or [])
    many = len(found.constant) >= max(_FEW, MASKS * found.readable)
    masks = "; so many of them may be masks of labels, which are not to train on" if many else ""
    said = [
        (copies, "copies of others, byte for byte"),
        (near, "nearly the same as another"),
        (by_run, "nearly the same as another to the network of the run"),
        (len(found.constant), f"nearly constant: their levels vary by less than {FLAT:g} of 255{masks}"),
        (len(found.tiny), f"tiny: a side below {TINY} pixels"),
        (len(found.huge), f"huge: more than {HUGE // 1_000_000} megapixels each; `unlabel pack` shrinks them once"),
    ]
    return [
        Remark(False, f"{_count(count, 'picture')} {'is' if count == 1 else 'are'} {what}")
        for count, what in said
        if count
    ]


def _count(count: int, what: str) -> str:
    return f"{count:,} {what}" + ("" if count == 1 else "s")
