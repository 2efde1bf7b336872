"""Which file format is read fastest in random order? Pixels of 256 px pictures from six formats.

    python benchmarks/packs.py [--rounds 5] [--pictures 512]

Peers that are installed take part. litdata and mosaicml-streaming want an older numpy than unlabel asks for, so they
get an environment of their own: litdata, mosaicml-streaming, webdataset, numpy 2.1, and what unlabel imports; unlabel
itself is found by its path:  PYTHONPATH=src python benchmarks/packs.py
WebDataset is a tar file and can only be read in its own order; so it is here.
"""

import argparse
import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from common import compete, installed, record
from photographs import jpegs
from PIL import Image

from unlabel.data.folder import Folder
from unlabel.data.pack import Pack, write_pack

Read = Callable[[int], np.ndarray]


def pictures(count: int) -> np.ndarray:
    """uint8 [count, 256, 341, 3]: all of one size, as a plain memory map needs it."""
    with tempfile.TemporaryDirectory() as place:
        files = sorted(jpegs(Path(place), count).iterdir(), key=lambda file: int(file.stem))
        return np.stack([np.asarray(Image.open(file).resize((341, 256))) for file in files])


def memmap(images: np.ndarray, place: Path) -> Read:
    np.save(place / "images.npy", images)
    mapped = np.load(place / "images.npy", mmap_mode="r")
    return lambda i: mapped[i]


def arrow(images: np.ndarray, place: Path) -> Read:
    """Ours: the checks of all pictures are made, at the first reading of each."""
    folder = place / "files"
    folder.mkdir()
    for i, image in enumerate(images):
        Image.fromarray(image).save(folder / f"{i:05d}.png", compress_level=0)
    write_pack(Folder(folder), place / "images.pack", size=256, quality=None)
    pack = Pack(place / "images.pack")
    return lambda i: pack.image(i).permute(1, 2, 0).numpy()


def parquet(images: np.ndarray, place: Path) -> Read:
    table = pa.table({"image": [image.tobytes() for image in images]})
    pq.write_table(table, place / "images.parquet", row_group_size=16, compression="none", use_dictionary=False)
    file, shape = pq.ParquetFile(place / "images.parquet", memory_map=True), images.shape[1:]

    def read(i: int) -> np.ndarray:
        group = file.read_row_group(i // 16)
        return np.frombuffer(group["image"][i % 16].as_buffer(), np.uint8).reshape(shape)

    return read


def litdata(images: np.ndarray, place: Path) -> Read:
    from litdata import StreamingDataset
    from litdata.streaming.writer import BinaryWriter

    writer = BinaryWriter(str(place / "litdata"), chunk_bytes="64MB")
    for i, image in enumerate(images):
        writer[i] = {"image": image}
    writer.done()
    writer.merge()
    dataset = StreamingDataset(str(place / "litdata"))
    return lambda i: np.asarray(dataset[i]["image"])


def mds(images: np.ndarray, place: Path) -> Read:
    from streaming import MDSWriter, StreamingDataset

    with MDSWriter(out=str(place / "mds"), columns={"image": "ndarray:uint8"}) as writer:
        for image in images:
            writer.write({"image": image})
    dataset = StreamingDataset(local=str(place / "mds"), shuffle=False, batch_size=1)
    return lambda i: dataset[i]["image"]


def webdataset(images: np.ndarray, place: Path) -> Callable[[], int]:
    import webdataset as wds

    with wds.TarWriter(str(place / "images.tar")) as writer:
        for i, image in enumerate(images):
            stream = io.BytesIO()
            np.save(stream, image)
            writer.write({"__key__": f"{i:05d}", "npy": stream.getvalue()})

    def through() -> int:
        reader = wds.WebDataset(str(place / "images.tar"), shardshuffle=False).decode().to_tuple("npy")
        return sum(_looked_at(image) for (image,) in reader)

    return through


def _looked_at(image: np.ndarray) -> int:
    """All of its bytes, once, as a renderer would."""
    np.copyto(_INTO[: image.size], image.reshape(-1))
    return 1


_INTO = np.empty(256 * 341 * 3, np.uint8)


def _size(place: Path) -> float:
    kept = (path for path in place.rglob("*") if path.is_file() and "files" not in path.parts)
    return sum(path.stat().st_size for path in kept) / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--pictures", type=int, default=512)
    arguments = parser.parse_args()
    images = pictures(arguments.pictures)
    order = np.random.default_rng(0).permutation(len(images))
    makers: dict[str, tuple[Callable[[np.ndarray, Path], Read], str | None]] = {
        "raw memory map (one size only)": (memmap, None), "unlabel pack (Arrow stream)": (arrow, None),
        "Parquet, row groups of 16": (parquet, None), "LitData": (litdata, "litdata"),
        "MosaicML Streaming": (mds, "mosaicml-streaming"),
    }  # fmt: skip
    entries: dict[str, Callable[[], int]] = {}
    facts = []
    with tempfile.TemporaryDirectory() as root:
        for number, (name, (make, package)) in enumerate(makers.items()):
            if package is not None and not installed(package):
                continue
            place = Path(root) / str(number)
            place.mkdir()
            begun = time.perf_counter()
            read = make(images, place)
            facts.append(f"{name} {_size(place):.0f} MB in {time.perf_counter() - begun:.1f} s")
            assert np.array_equal(read(7), images[7]), name
            entries[name] = lambda read=read: sum(_looked_at(read(int(i))) for i in order)
        if installed("webdataset"):
            (Path(root) / "tar").mkdir()
            entries["WebDataset (in its own order)"] = webdataset(images, Path(root) / "tar")
        rows = compete(entries, baseline="raw memory map (one size only)", rounds=arguments.rounds)
    record("packs", f"Reading {len(images)} pictures of 256 x 341 pixels, each once, in random order", rows,
           unit="images/s", note=f"Every byte is read once. Written: {'; '.join(facts)}.")  # fmt: skip


if __name__ == "__main__":
    main()
