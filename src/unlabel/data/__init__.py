"""Where pictures come from, whatever files they are in, and the loader that makes batches of views of them."""

from unlabel.data.captions import Captioned
from unlabel.data.dataset import TorchDataset, Views
from unlabel.data.loader import ViewLoader
from unlabel.data.open import has_test_split, open_source
from unlabel.data.source import Cached, Source, Subset, Unreadable
from unlabel.data.tokens import Tokeniser

__all__ = [
    "Cached",
    "Captioned",
    "Source",
    "Subset",
    "Tokeniser",
    "TorchDataset",
    "Unreadable",
    "ViewLoader",
    "Views",
    "has_test_split",
    "open_source",
]
