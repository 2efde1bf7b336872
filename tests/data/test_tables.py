"""Tables of paths and captions, in every form people keep them, and what is said of broken ones."""

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from unlabel.data import ViewLoader, open_source
from unlabel.data.open import has_test_split
from unlabel.data.source import Unreadable
from unlabel.errors import Fault
from unlabel.views import named

ROWS = [
    ("a.png", "one dog"),
    ("sub/b.png", "a cat, sitting"),
    ("a.png", "a dog"),
    ("gone.png", "nobody"),
    ("c.png", ""),
]


@pytest.fixture
def folder(tmp_path) -> Path:
    for number, name in enumerate(("a.png", "sub/b.png", "c.png")):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (5, 4), (number, 0, 0)).save(tmp_path / name)
    return tmp_path


def written(folder: Path, kind: str) -> Path:
    file = folder / f"data.{kind}"
    match kind:
        case "csv":
            lines = ["Path,ignored,Caption", *(f'{path},0,"{text}"' for path, text in ROWS)]
            file.write_text("\r\n".join(lines), "utf-8-sig")
        case "tsv":
            file.write_text("\n".join(["path\tcaption", *("\t".join(row) for row in ROWS)]))
        case "jsonl":
            rows = [
                {"path": "a.png", "captions": ["one dog", "a dog"]},
                *({"path": p, "captions": t} for p, t in ROWS[3:]),
            ]
            rows.insert(1, {"captions": "a cat, sitting", "path": "sub/b.png", "score": 2})
            file.write_text("\n\n".join(map(json.dumps, rows)))
        case "parquet":
            table = {"file_name": [path for path, _ in ROWS], "text": [text or None for _, text in ROWS], "n": range(5)}
            pq.write_table(pa.table({key: list(values) for key, values in table.items()}), file)
    return file


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_kind_is_the_same_source(folder, kind):
    file = written(folder, kind)
    source = open_source(file, captions=True)
    assert len(source) == 4 and source.captioned and not has_test_split(file)
    assert source.captions(0) == ("one dog", "a dog") and source.captions(1) == ("a cat, sitting",)
    assert source.path(1) == str(folder / "sub" / "b.png") and source.look(1).pixels(None)[0, 0, 0] == 1
    assert source.image(0).shape == (3, 4, 5)
    for i, words in ((2, "there is no such file"), (3, "it has no caption")):
        with pytest.raises(Unreadable, match=words):
            source.image(i)
    plain = open_source(str(file))
    assert not plain.captioned and plain.image(3)[0, 0, 0] == 2


def test_captions_in_lists_and_absolute_paths(folder, tmp_path_factory):
    elsewhere = tmp_path_factory.mktemp("tables")
    table = {"image": [str(folder / "a.png")], "captions": [["one", "two"]]}
    pq.write_table(pa.table(table), elsewhere / "t.parquet")
    source = open_source(elsewhere / "t.parquet", captions=True)
    assert source.captions(0) == ("one", "two") and source.image(0).shape == (3, 4, 5)


def test_separators_of_lines_within_a_text_are_text(folder):
    (folder / "t.jsonl").write_text('{"path": "a.png", "caption": "one\u2028two"}\n', "utf-8")
    assert open_source(folder / "t.jsonl", captions=True).captions(0) == ("one two",)
    (folder / "t.csv").write_text('path,caption\na.png,"one\ntwo\x0bthree"\n', "utf-8")
    assert open_source(folder / "t.csv", captions=True).captions(0) == ("one two three",)


def test_a_row_without_a_path_is_reported(folder):
    (folder / "t.csv").write_text("path,caption\n,lost\na.png,one\n")
    source = open_source(folder / "t.csv", captions=True)
    with pytest.raises(Unreadable, match="row 1, which has no path: there is no such file"):
        source.image(0)
    assert source.captions(1) == ("one",)


def test_fingerprints_cover_files_and_texts(folder):
    first = open_source(written(folder, "csv"), captions=True).fingerprint()
    assert first == open_source(written(folder, "tsv"), captions=True).fingerprint()
    Image.new("RGB", (50, 40), (9, 0, 0)).save(folder / "a.png")
    assert open_source(folder / "data.csv", captions=True).fingerprint() != first


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.csv", b"", "has columns called no name"),
        ("a.csv", b"who,what\n1,2\n", "has columns called `who`, `what`: name that of the paths `path` and that"),
        ("a.csv", b"path,what\n1,2\n", "that of the captions `caption`"),
        ("a.csv", b"path,caption\n", "has no row"),
        ("a.csv", b"path,caption\na.png,\xff\n", "not UTF-8 text .at byte 19."),
        ("a.csv", b"path,caption\na.png,\n", "has no captions"),
        ("a.jsonl", b'{"path": "a.png", "caption": "x"}\n[1, 2]\n', "line 2 is not a JSON object"),
        ("a.jsonl", b'{"path": "a.png"', "line 1 is not a JSON object"),
        ("a.jsonl", b"[" * 100_000, "line 1 is not a JSON object"),
        ("a.parquet", b"PAR1 nonsense", "is not a Parquet file that can be read"),
    ],
)
def test_broken_tables_say_what_is_wrong(folder, name, content, words):
    (folder / name).write_bytes(content)
    with pytest.raises(Fault, match=words):
        open_source(folder / name, captions=True)


def test_a_table_that_is_not_there_and_its_test_split(folder):
    with pytest.raises(Fault, match=r"there is no file .*none\.csv"):
        open_source(folder / "none.csv")
    with pytest.raises(Fault, match="a table, which has no test split"):
        open_source(written(folder, "csv"), split="test")


def test_real_photographs_with_five_captions_each(shared_data, tmp_path):
    folder = shared_data("flickr8k_sample")
    said = json.loads((folder / "captions.json").read_text())
    rows = [{"file_name": str(folder / "images" / name), "captions": texts} for name, texts in said.items()]
    (tmp_path / "captions.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = open_source(tmp_path / "captions.jsonl", captions=True)
    assert len(source) == 50 and {len(source.captions(i)) for i in range(50)} == {5}
    assert min(source.look(0).size) == 224 and source.image(49).shape[0] == 3
    batch = ViewLoader([source], named("clip", 64), 16, seed=0, stop=1, threads=0, tokenise=lengths).batch(0)
    assert batch.views[0].shape == (16, 3, 64, 64)
    for i, (length,) in zip(batch.index.tolist(), batch.tokens.tolist(), strict=True):
        assert length in map(len, source.captions(i))


def lengths(texts: list[str]) -> torch.Tensor:
    """A stand-in for a tokeniser."""
    return torch.tensor([[len(text)] for text in texts])
