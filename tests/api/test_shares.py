"""Several shares of the labels: what is asked for, what comes out, and going on after a stop."""

import json
from pathlib import Path

import pytest

import unlabel
from unlabel.api.shares import shares_of
from unlabel.engine.callbacks import Beside
from unlabel.errors import Fault, Interrupted
from unlabel.reporting.shares_page import table, write_shares

SHORT = {"device": "cpu", "monitors": 0, "recipe": "small", "batch_size": 16, "epochs": 1}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (0.1, [0.1]), ("10%", [0.1]), ("1%,10%,100%", [0.01, 0.1, 1.0]), ([1, 0.01], [0.01, 1.0]), ("0.5, 5 %", [0.05, 0.5]),
        ("7%", [0.07]), (["10%", 0.1], [0.1]),
    ],
)  # fmt: skip
def test_shares(asked: object, found: list[float]) -> None:
    assert shares_of(asked) == found


@pytest.mark.parametrize("asked", ["0", "110%", "a", "1%,,2%", [0.1, -1], ""])
def test_what_is_no_share(asked: object) -> None:
    with pytest.raises(Fault, match="share of the images"):
        shares_of(asked)


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "simclr"
    unlabel.pretrain("simclr", data="shapes:120", out=out, evaluate=False, projector_width=16, **SHORT)
    return out


def test_one_command_makes_the_whole_table_and_goes_on_after_a_stop(
    before: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, usual = tmp_path / "series", Beside.on_train_batch_end

    def end(self: Beside, trainer, method, *rest) -> None:
        self.signals.asked |= method.updates == 3  # the first share has fewer updates
        usual(self, trainer, method, *rest)

    with monkeypatch.context() as patched:
        patched.setattr(Beside, "on_train_batch_end", end)
        with pytest.raises(Interrupted, match=f"finetune --resume {out}`"):
            unlabel.finetune(before, labels="20%,100%", out=out, **SHORT)
    half = json.loads((out / "finetuning.json").read_text())
    assert not half["finished"] and len(half["shares"]) == 1
    assert "Not finished yet: 100 % of the labels" in (out / "report.html").read_text()
    result = unlabel.finetune(resume=out)
    found = json.loads((out / "finetuning.json").read_text())
    assert result.evaluation == found and found["finished"] and result.report == out / "report.html"
    assert [row["share"] for row in found["shares"]] == [0.2, 1.0] and found["shares"][0] == half["shares"][0]
    for row in found["shares"]:
        assert set(row["classification"]) == {"run", "scratch"} and row["protocol"]["version"] == 1
        run, control = (json.loads((out / row["folder"] / part / "run.json").read_text()) for part in (".", "control"))
        assert run["updates"] == control["updates"] == row["updates"] and run["hyper"]["labels"] == row["share"]
    page = (out / "report.html").read_text()
    assert "Not finished" not in page and 'href="labels-0.2/report.html"' in page and "protocol 1: " in page
    assert unlabel.finetune(resume=out).evaluation == found  # nothing is left to do


def test_mistakes_leave_nothing_behind(before: Path, tmp_path: Path) -> None:
    with pytest.raises(Fault, match="leave out the option `evaluate`"):
        unlabel.finetune(before, labels="1%,10%", evaluate=False, out=tmp_path / "a")
    with pytest.raises(Fault, match="leave out the option `backbone`"):
        unlabel.finetune(before, labels="1%,10%", backbone="resnet18", out=tmp_path / "b")
    assert list(tmp_path.iterdir()) == []


def test_the_table_by_hand(tmp_path: Path) -> None:
    row = {
        "share": 0.01, "labels": 1234, "updates": 60, "folder": "labels-0.01", "protocol": {"version": 1, "queries": 9},
        "classification": {"run": {"top1": 61.26, "top5": 90.0}, "scratch": {"top1": 70.0, "top5": 95.0}},
    }  # fmt: skip
    found = {"run": "runs/<x>", "asked": [0.01, 1.0], "shares": [row]}
    assert table(found) == [["1 %", "1,234", "60", "61.3", "70.0", "−8.7", "90.0", "95.0"]]
    alone = {**row, "classification": {"run": {"top1": 61.26}}}
    assert table({"shares": [alone]})[0][3:] == ["61.3", "–", "–", "–", "–"]
    page = write_shares(tmp_path / "r.html", found).read_text()
    assert "runs/&lt;x&gt;" in page and "default-src" in page and "<script" not in page
