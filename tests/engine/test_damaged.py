"""A run folder in which a file is damaged: one sentence says which, and what can be left out does no harm."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
import torch

import unlabel
from tests.engine.test_resume import gone_at
from tests.methods.toy import toy_method
from unlabel.data.source import Unreadable
from unlabel.engine import checkpoint
from unlabel.engine.callbacks import Journal
from unlabel.engine.folder import RunFolder, write_json
from unlabel.engine.job import Job
from unlabel.engine.keep import load_method, network_facts, note_skipped
from unlabel.errors import Fault

TINY = {"data": "shapes:64", "batch_size": 16, "epochs": 2, "monitors": 2, "device": "cpu", "recipe": "small",
        "backbone": "tiny_resnet", "save_every": "0.001s"}  # fmt: skip


@pytest.fixture(scope="module")
def half(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that ended in its sixth of eight updates."""
    out = tmp_path_factory.mktemp("run") / "half"
    with pytest.MonkeyPatch.context() as patch, gone_at(6, patch):
        unlabel.pretrain("simclr", out=out, **TINY)
    return out


def test_a_checkpoint_of_another_network_is_a_fault(half: Path) -> None:
    folder = RunFolder(half)
    stored, wider = folder.read(), folder.read()
    wider["hyper"]["projector_width"] *= 2
    write_json(folder.run_json, wider)
    try:
        for use in (lambda: load_method(half), lambda: unlabel.pretrain(resume=half)):
            with pytest.raises(Fault, match=r"last\.ckpt does not belong to the run that run\.json"):
                use()
    finally:
        write_json(folder.run_json, stored)


def test_a_damaged_line_does_no_harm(half: Path, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(half, tmp_path / "run"))
    first, second, *lines = folder.metrics.read_bytes().splitlines(keepends=True)
    folder.metrics.write_bytes(b"".join([first, second[:9] + b"\xff\n", *lines]))
    unlabel.pretrain(resume=folder.path)
    found = list(folder.readings())
    assert folder.finished and [line["update"] for line in found if "loss" in line][-3:] == [6, 7, 8]
    assert len({json.dumps(line) for line in found}) == len(found)
    unlabel.evaluate(folder.path)
    unlabel.report(folder.path)
    assert "1 broken line was passed over" in folder.report.read_text("utf-8")
    assert unlabel.compare([folder.path], out=tmp_path / "c.html").page == tmp_path / "c.html"


def test_a_page_about_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(Fault, match="does not say which method was trained"):
        unlabel.report(tmp_path)
    assert not (tmp_path / "report.html").exists()


@pytest.mark.parametrize(
    ("before", "keep", "kept"),
    [
        (b'{"a": 1}\n{"a": 2}\n', 9, [1]),
        (b'{"a": 1}\n', 30, [1]),
        (b'{"a": 1}\n{"a": 2}\n', 14, [1]),
        (b"", 30, []),
        (b'{"a": 1}\n', 0, []),
    ],
)
def test_the_next_line_is_whole_however_long_the_journal_is(
    tmp_path: Path, before: bytes, keep: int, kept: list[int]
) -> None:
    folder = RunFolder(tmp_path)
    folder.metrics.write_bytes(before)
    journal = Journal(folder.metrics, keep)
    journal.write(a=3)
    assert journal.length == folder.metrics.stat().st_size
    journal.close()
    assert [line["a"] for line in folder.readings()] == [*kept, 3]
    assert b"\0" not in folder.metrics.read_bytes()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a disk that is full")
def test_a_line_for_which_the_disk_has_no_room_is_a_fault(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "metrics.jsonl", 0)
    journal.close()
    journal.file = open("/dev/full", "ab")  # noqa: SIM115
    for use in (lambda: journal.write(a=1), journal.close):
        with pytest.raises(Fault, match=r"metrics\.jsonl cannot be written: No space left on device"):
            use()


def test_a_checkpoint_for_which_the_disk_has_no_room_is_a_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    checkpoint.save(file := tmp_path / "it", toy_method("rotation"), [], lines=3, seconds=1.5)
    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Fault, match="it cannot be written: No space left on device"):
        checkpoint.save(file, toy_method("rotation"), [], lines=4, seconds=2.5)
    assert checkpoint.load(file).lines == 3 and [*tmp_path.iterdir()] == [file]


def test_what_a_killed_process_left_half_written_goes(half: Path, tmp_path: Path) -> None:
    folder = RunFolder(shutil.copytree(half, tmp_path / "run"))
    (left := folder.checkpoint.with_name(".last.ckpt.123.tmp")).write_bytes(b"half")
    (mine := folder.path / ".notes.tmp").touch()
    unlabel.pretrain(resume=folder.path)
    assert not left.exists() and mine.exists()


def test_skipped_files_are_noted_beside_damaged_lines(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.skipped.write_text('{"path": "a.png", "reason": "cut off"}\n{"path": "b\n[]\n{"path": "c.png"}\n')
    assert note_skipped(folder, [Unreadable("d.png", "no picture")]) == 2
    noted = [json.loads(line) for line in folder.skipped.read_text().splitlines()]
    assert [line["path"] for line in noted] == ["a.png", "d.png"]


@pytest.mark.parametrize("held", ["[]", "3", "null", '"x"', "{", ""])
def test_a_run_json_that_is_no_object_is_no_run(tmp_path: Path, held: str) -> None:
    folder = RunFolder(tmp_path)
    folder.run_json.write_text(held)
    for use in (folder.read, lambda: folder.update(finished=True), lambda: folder.finished):
        with pytest.raises(Fault, match="is not a run folder"):
            use()
    with pytest.raises(Fault, match="is not a run folder"):
        unlabel.pretrain(resume=tmp_path)


def test_a_run_json_without_a_word_of_its_end_is_not_finished(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    assert not RunFolder(tmp_path).finished


@pytest.mark.parametrize("part", ["run", "plan", "hyper", "settings", "backbone"])
def test_a_run_json_of_wrong_parts_is_a_fault(half: Path, part: str) -> None:
    with pytest.raises(Fault, match=r"run\.json does not describe a run"):
        Job.from_dict({**RunFolder(half).read(), part: [1]})


def test_a_checkpoint_of_other_contents_is_a_fault(tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "it", toy_method("rotation"), [], lines=3, seconds=1.5)
    content = torch.load(tmp_path / "it", weights_only=True)
    for other in ({**content, "later": 1}, {"format": checkpoint.FORMAT}):
        torch.save(other, tmp_path / "it")
        with pytest.raises(Fault, match="is no checkpoint that this version of unlabel can read"):
            checkpoint.load(tmp_path / "it")


def test_facts_of_a_network_that_lack_something_are_a_fault(tmp_path: Path) -> None:
    file = tmp_path / "backbone.json"
    with pytest.raises(Fault, match="none yet"):
        network_facts(file, "none yet")
    whole = {"name": "n", "size": 8, "mean": [0.5], "std": [0.5]}
    for held, words in (
        ("[]", r"backbone\.json is damaged: restore it"),
        ("{}", "lacks name, size, mean, std, hyper: restore it"),
        (json.dumps({**whole, "timm": "resnet18"}), "lacks kwargs, stem"),
        (json.dumps(whole), "lacks hyper"),
    ):
        file.write_text(held)
        with pytest.raises(Fault, match=words):
            network_facts(file, "none yet", "hyper")
    assert network_facts(file, "none yet") == whole
