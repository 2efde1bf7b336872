"""Row sums of a similarity matrix that is never held whole.

    r_i = log sum_{j allowed} e^{s_ij},    s_ij = k a_i . c_j           [a] from [a, d] and [c, d] in O((a + c) d)

The matrix is made tile by tile, twice: forward collects the sums, backward makes every tile again and turns it into its
part of the gradient,

    P_ij = e^{s_ij - r_i},    dL/da = k (g P) c,    dL/dc = k (g P)' a,    dL/dk = sum_i a_i . ((g P) c)_i

with g = dL/dr. Where anchors and candidates are the same rows, the matrix is symmetric: each tile above the diagonal
also serves its mirror image, which halves products and exponentials.

Where |s| is bounded by a b so small that e^{-2b} does not underflow (unit vectors, k <= 30 in float32), the tiles are
e^{s - b}, one pass of exponentials without looking for the largest value of a row first.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = 1024
"""Rows and columns of a tile."""

WHOLE = 2**20
"""So many similarities are held whole: below, tiles bring nothing."""

KEPT = 2**24
"""If all tiles together have at most so many entries (64 MiB in float32), backward need not make them again."""

_SPAN = {torch.float32: 60.0, torch.float64: 600.0}  # the largest 2b


def row_log_sum_exp(
    anchors: Tensor,
    candidates: Tensor,
    k: Tensor,
    *,
    excluded: Tensor | None = None,
    same: tuple[Tensor, Tensor] | None = None,
) -> Tensor:
    """r [a], see the module; differentiable once in anchors [a, d], candidates [c, d] and the scalar k.

    excluded  bool [a, c], candidates that an anchor does not count
    same      names int [a] and int [c]: an anchor does not count candidates of its own name; needs no [a, c] mask

    float32 or float64. A row without any candidate left is -inf.
    """
    result: Tensor = _RowLogSumExp.apply(anchors, candidates, k, excluded, same)
    return result


def _tiles(n: int) -> list[slice]:
    return [slice(i, min(i + TILE, n)) for i in range(0, n, TILE)]


class _Left:
    """Which entries of a tile do not count."""

    def __init__(self, excluded: Tensor | None, same: tuple[Tensor, Tensor] | None) -> None:
        self.excluded, self.same = excluded, same
        if same is not None:
            self.spans = tuple(
                {part.start: (int(names[part].min()), int(names[part].max())) for part in _tiles(len(names))}
                for names in same
            )

    def out(self, tile: Tensor, rows: slice, columns: slice, value: float) -> Tensor:
        """The tile with `value` in their places."""
        if self.excluded is not None:
            tile.masked_fill_(self.excluded[rows, columns], value)
        if self.same is not None:
            (low, high), (first, last) = self.spans[0][rows.start], self.spans[1][columns.start]
            if low <= last and first <= high:  # else no name can occur on both sides
                tile.masked_fill_(self.same[0][rows, None] == self.same[1][None, columns], value)
        return tile


class _RowLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, a: Tensor, c: Tensor, k: Tensor, excluded: Tensor | None, same: tuple[Tensor, Tensor] | None
    ) -> Tensor:
        bound = float(k.abs() * a.norm(dim=1).max() * c.norm(dim=1).max()) * (1 + 1e-5)
        bounded = 2 * bound <= _SPAN[a.dtype]
        mirrored = same is not None and same[0] is same[1]
        symmetric = a is c and bounded and excluded is None and (same is None or mirrored)
        left = _Left(excluded, same)
        grid = _Grid(a, c, k, bound if bounded else None, symmetric, left)
        kept = [] if bounded and grid.entries <= KEPT and any(ctx.needs_input_grad) else None
        if bounded:
            total = a.new_zeros(len(a))
            for rows, columns, tile in grid:
                total[rows] += tile.sum(dim=1)
                if symmetric and rows != columns:
                    total[columns] += tile.sum(dim=0)
                if kept is not None:
                    kept.append(tile)
            r = total.log_().add_(bound)
        else:
            r = a.new_full((len(a),), -torch.inf)
            for rows, _, tile in grid:
                r[rows] = torch.logaddexp(r[rows], tile.logsumexp(dim=1))
        ctx.save_for_backward(a, c, k, r)
        ctx.left, ctx.bound, ctx.symmetric, ctx.kept = left, bound if bounded else None, symmetric, kept
        return r

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        a, c, k, r = ctx.saved_tensors
        grid = _Grid(a, c, k, ctx.bound, ctx.symmetric, ctx.left)
        empty = r == -torch.inf  # rows without candidates, which move nothing
        r = r.masked_fill(empty, 0.0)
        u = g if ctx.bound is None else (g * (ctx.bound - r).exp()).masked_fill_(empty, 0.0)
        if ctx.symmetric:
            # Both arguments are one tensor: autograd adds what each is given, so one gets it all.
            moved = _symmetric_gradient(a, u, grid, ctx.kept)
            return k * moved, None, 0.5 * (a * moved).sum(), None, None
        toward_c, toward_a = torch.zeros_like(a), torch.zeros_like(c)
        for rows, columns, tile in grid.again(ctx.kept):
            weighted = (tile - r[rows, None]).exp_().mul_(u[rows, None]) if ctx.bound is None else tile * u[rows, None]
            toward_c[rows].addmm_(weighted, c[columns])
            toward_a[columns].addmm_(weighted.T, a[rows])
        return k * toward_c, k * toward_a, (a * toward_c).sum(), None, None


class _Grid:
    """The tiles of a similarity matrix: of e^{s - bound}, or of s itself where there is no bound."""

    def __init__(self, a: Tensor, c: Tensor, k: Tensor, bound: float | None, symmetric: bool, left: _Left) -> None:
        """symmetric: a is c, and only the tiles on and above the diagonal are made."""
        self.ka, self.c, self.bound, self.left = k * a, c, bound, left
        across = _tiles(len(c))
        self.places = [(rows, part) for i, rows in enumerate(_tiles(len(a))) for part in across[i * symmetric :]]
        self.entries = sum((rows.stop - rows.start) * (part.stop - part.start) for rows, part in self.places)

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor]]:
        for rows, columns in self.places:
            yield rows, columns, self._tile(rows, columns)

    def again(self, kept: list[Tensor] | None) -> Iterator[tuple[slice, slice, Tensor]]:
        """The same tiles, those that were kept or new ones. Do not write into them."""
        return iter(self) if kept is None else ((*place, tile) for place, tile in zip(self.places, kept, strict=True))

    def _tile(self, rows: slice, columns: slice) -> Tensor:
        if self.bound is None:
            return self.left.out(self.ka[rows] @ self.c[columns].T, rows, columns, -torch.inf)
        tile = torch.addmm(self.ka.new_tensor(-self.bound), self.ka[rows], self.c[columns].T).exp_()
        return self.left.out(tile, rows, columns, 0.0)


def _symmetric_gradient(z: Tensor, u: Tensor, grid: _Grid, kept: list[Tensor] | None) -> Tensor:
    """sum_j (g_i P_ij + g_j P_ji) z_j = sum_j e^{s_ij - b} (u_i + u_j) z_j, with u = g e^{b - r}: [n, d]."""
    moved = torch.zeros_like(z)
    for rows, columns, tile in grid.again(kept):
        weighted = (u[rows, None] + u[None, columns]).mul_(tile)
        moved[rows].addmm_(weighted, z[columns])
        if rows != columns:
            moved[columns].addmm_(weighted.T, z[rows])
    return moved
