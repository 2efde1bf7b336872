"""A table of paths and captions as a source: FILE.csv, FILE.tsv, FILE.jsonl or FILE.parquet.

- The column of paths has one of the names PATHS, that of captions one of CAPTIONS, in capitals or not; other columns
  are ignored. Where no captions are asked for, the table is a list of pictures.
- Paths are relative to the folder of the table, or absolute.
- Several captions of a picture: a list of texts in JSON Lines and Parquet, or several rows with the same path.
- A row whose picture is not there, or whose caption is empty, is left out and reported as unreadable pictures are.
"""

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from unlabel.data.captions import Captioned, cleaned
from unlabel.data.decode import decode_file, look_at_file
from unlabel.data.folder import printable
from unlabel.data.source import Look, Source, Unreadable, digest
from unlabel.errors import Fault

SUFFIXES = (".csv", ".tsv", ".jsonl", ".parquet")
PATHS = ("path", "file", "filepath", "file_path", "filename", "file_name", "image", "image_path", "img")
CAPTIONS = ("caption", "captions", "text", "texts", "sentence", "sentences", "title", "description")
_EXAMPLE = '{"path": "cat.jpg", "caption": "a cat"}'

_Rows = tuple[list[str], Iterator[dict[str, Any]]]  # names of the columns, cells by column


class Table(Source):
    """The pictures of some files, named relative to the folder of the file `table`."""

    def __init__(self, table: str, names: list[str]) -> None:
        super().__init__(printable(table), np.full(len(names), -1, np.int64))
        self.root, self.names = os.path.dirname(os.path.abspath(table)), names

    def __len__(self) -> int:
        return len(self.names)

    def image(self, i: int) -> Tensor:
        """Picture i, decoded from its file; see `Source.image`."""
        with self.noting(i):
            return decode_file(self._file(i), self.path(i)).pixels

    def look(self, i: int) -> Look:
        """Picture i, its header read; see `Source.look`."""
        return self.watched(i, lambda: look_at_file(self._file(i), self.path(i)))

    def _file(self, i: int) -> str:
        file = os.path.join(self.root, self.names[i])
        if "\0" in file or not os.path.lexists(file):
            raise Unreadable(self.path(i), "there is no such file")
        return file

    def path(self, i: int) -> str:
        """The printable path of picture i."""
        return printable(os.path.join(self.root, self.names[i]))

    def fingerprint(self) -> str:
        """Covers the names and sizes of all files."""
        return digest(part for i, name in enumerate(self.names) for part in (name, self._size(i)))

    def _size(self, i: int) -> str:
        try:
            return str(os.stat(self._file(i)).st_size)
        except (OSError, Unreadable):
            return "-1"


def open_table(file: str, *, captions: bool) -> Source:
    """The pictures of a table, with their captions if asked for.

    Raises Fault where the table cannot be read, is not what its name says, has not these columns, or no row.
    """
    columns, rows = _read(file)
    paths, texts = _column(columns, PATHS), _column(columns, CAPTIONS)
    if paths is None or (captions and texts is None):
        held = ", ".join(f"`{name}`" for name in columns) or "no name"
        wanted = "name that of the paths `path`" + (" and that of the captions `caption`" if captions else "")
        raise Fault(f"{printable(file)} has columns called {held}: {wanted}")
    found: dict[str, list[str]] = {}
    for number, row in enumerate(rows, start=1):
        name = _name(row.get(paths)) or f"row {number}, which has no path"
        found.setdefault(name, []).extend(cleaned(row.get(texts)) if texts is not None else ())
    if not found:
        raise Fault(f"{printable(file)} has no row: each names a picture, such as {_EXAMPLE} in JSON Lines")
    table = Table(file, list(found))
    return Captioned(table, [tuple(some) for some in found.values()]) if captions else table


def _column(columns: Iterable[str], kinds: Iterable[str]) -> str | None:
    """The first of `kinds` that is the name of a column, as the table writes it."""
    by_name = {name.strip().lower(): name for name in columns}
    return next((by_name[kind] for kind in kinds if kind in by_name), None)


def _name(cell: Any) -> str:
    """A path as written; a lone surrogate, which JSON can hold, could not be printed and is in no file's name."""
    return cell.strip().encode("utf-8", "replace").decode() if isinstance(cell, str) else ""


def _read(file: str) -> _Rows:
    kind = os.path.splitext(file)[1].lower()
    try:
        if kind == ".parquet":
            return _parquet(file)
        with open(file, encoding="utf-8-sig", newline="") as stream:
            content = io.StringIO(stream.read(), newline="")
    except FileNotFoundError:
        raise Fault(f"there is no file {printable(file)}") from None
    except UnicodeDecodeError as wrong:
        raise Fault(f"{printable(file)} is not UTF-8 text (at byte {wrong.start}): save it as such") from None
    except OSError as error:
        raise Fault(f"{printable(file)} cannot be read: {error.strerror or error}") from None
    return (
        _json_lines(file, content) if kind == ".jsonl" else _separated(file, content, "\t" if kind == ".tsv" else ",")
    )


def _separated(file: str, content: io.StringIO, delimiter: str) -> _Rows:
    reader = csv.DictReader(content, delimiter=delimiter)

    def rows() -> Iterator[dict[str, Any]]:
        try:
            yield from reader
        except csv.Error as wrong:
            raise Fault(f"{printable(file)}, line {reader.line_num}: {wrong}") from None

    try:
        return [name for name in reader.fieldnames or () if name], rows()
    except csv.Error as wrong:
        raise Fault(f"{printable(file)}, line 1: {wrong}") from None


def _json_lines(file: str, content: io.StringIO) -> _Rows:
    rows = [_row(file, number, line) for number, line in enumerate(content, start=1) if line.strip()]
    return list(dict.fromkeys(name for row in rows for name in row)), iter(rows)


def _row(file: str, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if not isinstance(row, dict):
        raise Fault(f"{printable(file)}, line {number} is not a JSON object such as {_EXAMPLE}")
    return row


def _parquet(file: str) -> _Rows:
    try:
        with pq.ParquetFile(file) as table:
            columns = table.schema_arrow.names
            wanted = [name for name in (_column(columns, PATHS), _column(columns, CAPTIONS)) if name is not None]
            return columns, iter(table.read(columns=wanted).to_pylist())
    except pa.ArrowException as wrong:
        raise Fault(f"{printable(file)} is not a Parquet file that can be read: {wrong}") from None
