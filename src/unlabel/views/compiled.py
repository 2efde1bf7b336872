"""How our numba functions are compiled."""

from collections.abc import Callable
from typing import Any

from numba import njit
from numba.core import cgutils, types
from numba.extending import intrinsic


def compiled(function: Callable[..., Any]) -> Any:
    """`function`, compiled when first called; kept on disk where there is a place that can be written."""
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
