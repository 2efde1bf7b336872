"""How our numba functions are compiled."""

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic

_FILES = [Path(__file__).with_name(name) for name in ("compiled.py", "kernels.py", "resizing.py")]
_DIGEST = sha256(b"".join(file.read_bytes() for file in _FILES)).hexdigest()[:12]


def compiled(function: Callable[..., Any]) -> Any:
    """`function`, compiled when first called; kept on disk where there is a place that can be written."""
    # numba looks whether a function's own file changed, not those of the functions it calls; its name it does look at.
    function.__qualname__ += f"_{_DIGEST}"
    # Divisions by zero and infinities stay as IEEE has them; sums may be reordered.
    options: dict[str, Any] = {
        "nogil": True,
        "error_model": "numpy",
        "fastmath": {"nnan", "nsz", "contract", "reassoc"},
    }
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:
        return njit(**options)(function)


@intrinsic
def bytes_at(typingctx, address):  # type: ignore[no-untyped-def]
    """An address as a pointer, for the bytes of tensors that live outside of numba."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.inttoptr(arguments[0], cgutils.voidptr_t)

    return types.voidptr(address), generate
