"""Commands for a run folder: evaluate, segment, embed, neighbors, atlas, report, export, translate."""

import shlex

import click

from unlabel.cli import LOG, OUT, cli, conclude, example
from unlabel.console import tell
from unlabel.errors import Fault, command

ALL = (
    "Clustering, corrupted images and, with masks, objects too. The network sees 96 times a thousand images: minutes "
    "at 32 px, perhaps an hour at 224 px without a GPU; how long is told when it begins."
)
APART = "not among them, because they train networks: `{shares}` and `{scenes}`"
RUN = click.argument("run", type=click.Path())
SERVE = "python -m http.server --bind 127.0.0.1 --directory"


@cli.command(
    epilog=example(
        "unlabel evaluate runs/simclr-photos-1 --data labelled/",
        "unlabel evaluate runs/simclr-photos-1 --data labelled/ --all",
    )
)
@RUN
@click.option("--data", help="Labelled images (class folders, arrays, or a data set's name). Default: the run's own.")
@click.option("--all", "everything", is_flag=True, help=ALL)
def evaluate(run: str, data: str | None, everything: bool) -> None:
    """Measure kNN, a linear probe and retrieval against random weights and raw pixels."""
    from unlabel import api
    from unlabel.cli.scores import tables

    result = api.evaluate(run, data=data, all=everything, console=LOG)
    for line in tables(result.evaluation or {}):
        tell(OUT, line)
    if everything:
        shares = command("finetune", run, "--labels", "1%,10%,100%")
        scenes = command("segment", run, "--data", "SCENES")
        tell(OUT, APART.format(shares=shares, scenes=scenes))
    conclude(result)


@cli.command(
    epilog=example(
        "unlabel segment runs/pixpro-streets-1 --data camvid/ --ignore 11",
        "unlabel segment runs/pixpro-streets-1 --data camvid/ --ignore 11 --head pspnet --fine-tune",
    )
)
@RUN
@click.option("--data", required=True, help="Folder with train and test, each with images and masks.")
@click.option("--size", metavar="HxW", help="Height and width that images are shown at. Default: the first mask's.")
@click.option("--ignore", default="255", show_default=True, help="Values of masks that are no class, with commas.")
@click.option("--epochs", type=int, help="Passes over the training images. Default: 15, of PSPNet 20.")
@click.option("--head", default="linear", show_default=True, metavar="linear|pspnet", help="What reads the maps.")
@click.option("--fine-tune", is_flag=True, help="Train the network behind PSPNet too, and its control as long.")
@click.option(
    "--stride",
    type=int,
    metavar="8|16",
    help="Pixels between places of a ResNet's map. Default: 8, 16 for a linear head.",
)
def segment(
    run: str,
    data: str,
    size: str | None,
    ignore: str,
    epochs: int | None,
    head: str,
    fine_tune: bool,
    stride: int | None,
) -> None:
    """Tell the class of every pixel by a linear layer or a PSPNet on feature maps, beside controls."""
    from unlabel import api
    from unlabel.cli.scores import shown
    from unlabel.reporting.segmented import file_of, section

    sides, values = size and size.lower().split("x"), ignore.split(",")
    if sides and (len(sides) != 2 or not all(side.isdecimal() and int(side) > 0 for side in sides)):
        raise Fault(f"--size is height and width in pixels, such as 180x240, not {size}")
    if not all(value.strip().isdecimal() for value in values):
        raise Fault(f"--ignore is values of masks with commas between, such as 11,255, not {ignore}")
    if epochs is not None and epochs < 1:
        raise Fault(f"--epochs is at least 1, not {epochs}")
    shape = (int(sides[0]), int(sides[1])) if sides else None
    found = api.segment(
        run, data=data, size=shape, ignore=[int(value) for value in values], epochs=epochs, head=head,
        fine_tune=fine_tune, stride=stride, console=LOG,
    )  # fmt: skip
    for part in shown(section(file_of(head, fine_tune), found)):
        tell(OUT, part)


@cli.command(epilog=example("unlabel embed runs/simclr-photos-1 --data photos/ -o photos.parquet"))
@RUN
@click.option("--data", required=True, help="Images to embed.")
@click.option(
    "-o",
    "--out",
    required=True,
    type=click.Path(dir_okay=False),
    help="Parquet file to write: path, label, vector.",
)
def embed(run: str, data: str, out: str) -> None:
    """Write one feature vector for every image."""
    from unlabel import api

    count = api.embed(run, data=data, out=out, console=LOG)
    tell(OUT, f"{count:,} images embedded: {out}")


@cli.command(epilog=example("unlabel neighbors runs/simclr-photos-1 --query cat.jpg --data photos/ -o like-cat.png"))
@RUN
@click.option("--query", required=True, type=click.Path(), help="The picture to look up.")
@click.option("--data", required=True, help="Images to search.")
@click.option(
    "-o",
    "--out",
    default="neighbors.png",
    show_default=True,
    type=click.Path(dir_okay=False),
    help="Picture to write.",
)
@click.option("-k", default=10, show_default=True, type=click.IntRange(1, 100), help="How many to show.")
def neighbors(run: str, query: str, data: str, out: str, k: int) -> None:
    """Find the images most like a picture."""
    from unlabel import api

    for path, distance in api.neighbors(run, query=query, data=data, out=out, k=k, console=LOG):
        tell(OUT, f"{distance:.4f}  {path}")
    tell(OUT, f"picture: {out}")


@cli.command(
    epilog=example(
        "unlabel atlas runs/simclr-photos-1",
        "unlabel atlas runs/simclr-photos-1 --data photos/ --images 10000",
        "unlabel atlas runs/simclr-photos-1 --export atlas/",
    )
)
@RUN
@click.option("--data", help="Images to embed and show. Default: those that the run's evaluation embedded.")
@click.option("--images", type=click.IntRange(3, 20_000), help="Embed so many, evenly taken. Default: 2000.")
@click.option("--port", type=click.IntRange(1, 65_535), help="Port of 127.0.0.1. Default: 5055 or the next free one.")
@click.option("--no-open", is_flag=True, help="Do not open a browser.")
@click.option("--export", type=click.Path(file_okay=False), help="Write the page to this folder instead of serving it.")
def atlas(run: str, data: str | None, images: int | None, port: int | None, no_open: bool, export: str | None) -> None:
    """Open the embeddings of a run in an interactive viewer (Embedding Atlas), on this machine only."""
    from unlabel import api

    written = api.atlas(run, data=data, images=images, port=port, browser=not no_open, export=export, console=LOG)
    if written is not None:
        tell(OUT, f"atlas: {written}; look at it with `{SERVE} {shlex.quote(str(written))}`")


@cli.command(epilog=example("unlabel report runs/simclr-photos-1"))
@RUN
def report(run: str) -> None:
    """Write the report of a run again."""
    from unlabel import api

    tell(OUT, api.report(run))


@cli.command(
    epilog=example(
        "unlabel export runs/simclr-photos-1 --to timm -o backbone/",
        "unlabel export runs/simclr-photos-1 --to onnx -o backbone.onnx",
    )
)
@RUN
@click.option("--to", required=True, metavar="timm|torchvision|onnx", help="For which library.")
@click.option("-o", "--out", type=click.Path(), help="Where to; default: inside the run folder.")
def export(run: str, to: str, out: str | None) -> None:
    """Write the backbone for use without unlabel, and check that it gives the same features."""
    from unlabel import api

    tell(OUT, f"{api.export(run, to=to, out=out)} (read back: features agree)")


@cli.command(epilog=example("unlabel translate runs/cut-horses-1 --data horses/ -o as-zebras/"))
@RUN
@click.option("--data", required=True, help="Images of the first domain.")
@click.option("-o", "--out", required=True, type=click.Path(file_okay=False), help="Folder for the translated images.")
def translate(run: str, data: str, out: str) -> None:
    """Translate images into the second domain of an image-translation run."""
    from unlabel import api

    tell(OUT, f"{api.translate(run, data=data, out=out, console=LOG):,} images translated: {out}")
