"""Which columns of a comparison stand together: the numbers to look at first, then the rest by subject."""

from unlabel.reporting.comparison import Section

_COST = ("updates", "epochs", "minutes", "images_per_second", "peak_memory_mb")
_TOPICS: dict[str, dict[str, tuple[str, ...]]] = {
    "features": {
        "": ("knn", "top1", "top5", "map", "zeroshot", "effective_rank", "minutes"),
        "Shape of the embeddings": (
            "effective_rank", "participation_ratio", "spectral_decay", "lidar", "alignment", "uniformity", "tolerance",
            "projection_rank",
        ),
        "Retrieval, clusters and corrupted images": (
            "map", "map_at_r", "recall1", "nmi", "ari", "clustered", "corrupted_knn", "corrupted_top1",
        ),
        "Texts and objects": (
            "zeroshot", "images_by_text", "texts_by_image", "pointing", "swapped_knn", "swapped_top1",
        ),
    },
    "segmentation": {"": ("miou", "macc", "aacc")},
    "segmentation-pspnet": {"": ("pspnet_miou", "pspnet_macc", "pspnet_aacc")},
    "segmentation-pspnet-tuned": {"": ("tuned_miou", "tuned_macc", "tuned_aacc")},
    "classification": {"": ("right1", "right5", "labels", "minutes")},
    "translation": {"": ("fd", "kid", "edges", "psnr", "ssim", "minutes")},
}  # fmt: skip


def topics(section: Section) -> dict[str, list[str]]:
    """Caption -> columns that some row knows; the first, without a caption, is what to look at first."""
    factors = tuple(name for name in section.columns if name.startswith("factor "))
    asked = {**_TOPICS[section.kind], "What is kept of the factors": factors, "Cost": _COST}
    found = {caption: [name for name in names if name in section.columns] for caption, names in asked.items()}
    first = found.pop("")
    # A subject of which everything stands in the first table already says nothing new.
    return {"": first} | {caption: names for caption, names in found.items() if set(names) - set(first)}
