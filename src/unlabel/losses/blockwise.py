"""Row sums of a similarity matrix that is never held whole.

    r_i = log sum_{j allowed} e^{s_ij},    s_ij = k a_i . c_j           [a] from [a, d] and [c, d] in O((a + c) d)

The matrix is made tile by tile, twice: forward collects the sums, backward makes every tile again and turns it into its
part of the gradient,

    P_ij = e^{s_ij - r_i},    dL/da = k (g P) c,    dL/dc = k (g P)' a,    dL/dk = sum_i a_i . ((g P) c)_i

with g = dL/dr. Where anchors and candidates are the same rows, the matrix is symmetric: each tile above the diagonal
also serves its mirror image, which halves products and exponentials.

Where |s| is bounded so low that e^{|s|} fits (unit vectors, k <= 30 in float32), the tiles are e^s: one pass of
exponentials, without looking for the largest value of a row first.
"""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

TILE = 1024
"""Rows and columns of a tile."""

WHOLE = 2**24
"""On accelerators so many similarities are held whole: asking whether they are bounded would make the host wait."""

KEPT = 2**25
"""So many entries of tiles (128 MiB in float32) are kept, which backward then need not make again."""

ROWS = 2**15
"""With more rows, anchors and candidates together, no tiles are kept: there memory counts, and few would be."""

_BOUND = {torch.float32: 30.0, torch.float64: 300.0}  # of |s|, so that e^{s} and sums of many have room to both sides


def held_whole(anchors: Tensor, candidates: Tensor) -> bool:
    """Whether their matrix is better held whole. On the host never: gradients by hand are faster at every size."""
    return anchors.device.type != "cpu" and len(anchors) * len(candidates) < WHOLE


def row_log_sum_exp(
    anchors: Tensor,
    candidates: Tensor,
    k: Tensor,
    *,
    same: tuple[Tensor, Tensor] | None = None,
    least: Tensor | None = None,
) -> Tensor:
    """r [a], see the module; differentiable once in anchors [a, d], candidates [c, d] and the scalar k.

    same   names int [a] and int [c]: an anchor does not count candidates of its own name; needs no [a, c] mask
    least  [a] an anchor does not count candidates of a lower product (see `least_of_nearest`); k > 0; no gradient

    float32 or float64. A row without any candidate left is -inf.
    """
    with torch.autocast(anchors.device.type, enabled=False):  # or products would be made in half precision
        result: Tensor = _RowLogSumExp.apply(anchors, candidates, k, _Left(same, least))
    return result


@torch.no_grad()
def least_of_nearest(anchors: Tensor, candidates: Tensor, count: int, *, same: tuple[Tensor, Tensor]) -> Tensor:
    """[a]: the smallest product with each anchor's `count` nearest candidates that are not of its own name (`same`).

    The tiles are those of `row_log_sum_exp`, made by the same products: were they made otherwise, rounding could put
    the last of the nearest below its own threshold. In memory O(TILE (TILE + count)).
    """
    least = anchors.new_empty(len(anchors))
    with torch.autocast(anchors.device.type, enabled=False):
        near = anchors.new_empty(0, 0)
        for rows, columns, tile in _Grid(anchors, candidates, anchors.new_ones(()), False, False, _Left(same)):
            near = tile if columns.start == 0 else torch.cat([near, tile], dim=1)
            near = near.topk(min(count, near.shape[1]), dim=1).values
            least[rows] = near[:, -1]  # the last tile of a row has the last word
    return least


def row_sum(
    anchors: Tensor, candidates: Tensor, *, same: tuple[Tensor, Tensor], least: Tensor
) -> tuple[Tensor, Tensor]:
    """sum_j a_i . c_j over the candidates that count, as in `row_log_sum_exp` with k = 1, and how many: [a]."""
    with torch.autocast(anchors.device.type, enabled=False):
        total, count = _RowSum.apply(anchors, candidates, _Left(same, least))
    return total, count


def _tiles(n: int) -> list[slice]:
    return [slice(i, min(i + TILE, n)) for i in range(0, n, TILE)]


class _Left:
    """Which entries of a tile do not count."""

    def __init__(self, same: tuple[Tensor, Tensor] | None, least: Tensor | None = None) -> None:
        self.same, self.least = same, least
        if same is not None:
            self.spans = tuple(
                {part.start: (int(names[part].min()), int(names[part].max())) for part in _tiles(len(names))}
                for names in same
            )

        mirrored = same is None or same[0] is same[1]
        self.mirrored = mirrored and least is None  # j counts for i where i counts for j

    def out(self, tile: Tensor, rows: slice, columns: slice, value: float) -> Tensor:
        """The tile with `value` in their places."""
        if self.same is not None:
            (low, high), (first, last) = self.spans[0][rows.start], self.spans[1][columns.start]
            if low <= last and first <= high:  # else no name can occur on both sides
                tile.masked_fill_(self.same[0][rows, None] == self.same[1][None, columns], value)
        return tile


class _RowLogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, k: Tensor, left: _Left) -> Tensor:
        bounded = bool(k.abs() * a.norm(dim=1).max() * c.norm(dim=1).max() <= _BOUND[a.dtype])
        symmetric = a is c and bounded and left.mirrored
        grid = _Grid(a, c, k, bounded, symmetric, left)
        room = KEPT if bounded and len(a) + len(c) <= ROWS and any(ctx.needs_input_grad) else 0
        kept: list[Tensor] = []
        if bounded:
            total = a.new_zeros(len(a))
            for rows, columns, tile in grid:
                total[rows] += tile.sum(dim=1)
                if symmetric and rows != columns:
                    total[columns] += tile.sum(dim=0)
                room -= tile.numel()
                if room >= 0:  # the first ones
                    kept.append(tile)
            r = total.log_()
        else:
            r = a.new_full((len(a),), -torch.inf)
            for rows, _, tile in grid:
                r[rows] = torch.logaddexp(r[rows], tile.logsumexp(dim=1))
        ctx.save_for_backward(a, c, k, r)
        ctx.left, ctx.bounded, ctx.symmetric, ctx.kept = left, bounded, symmetric, kept
        return r

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, ...]:
        a, c, k, r = ctx.saved_tensors
        grid = _Grid(a, c, k, ctx.bounded, ctx.symmetric, ctx.left)
        empty = r == -torch.inf  # rows without candidates, which move nothing
        r = r.masked_fill(empty, 0.0)
        u = (g * (-r).exp()).masked_fill_(empty, 0.0) if ctx.bounded else g
        if ctx.symmetric:
            # Both arguments are one tensor: autograd adds what each is given, so one gets it all.
            moved = _symmetric_gradient(a, u, grid, ctx.kept)
            toward_k = 0.5 * torch.dot(a.flatten(), moved.flatten()) if ctx.needs_input_grad[2] else None
            return moved.mul_(k), None, toward_k, None
        toward_c = torch.zeros_like(a)
        toward_a = torch.zeros_like(c) if ctx.needs_input_grad[1] else None  # keys, queues and banks take none
        for rows, columns, tile in grid.again(ctx.kept):
            weighted = tile * u[rows, None] if ctx.bounded else (tile - r[rows, None]).exp_().mul_(u[rows, None])
            toward_c[rows] += weighted @ c[columns]
            if toward_a is not None:
                toward_a[columns] += weighted.T @ a[rows]
        toward_k = torch.dot(a.flatten(), toward_c.flatten()) if ctx.needs_input_grad[2] else None
        return toward_c.mul_(k), None if toward_a is None else toward_a.mul_(k), toward_k, None


class _Grid:
    """The tiles of a similarity matrix: of e^s where it is bounded, else of s itself."""

    def __init__(self, a: Tensor, c: Tensor, k: Tensor, bounded: bool, symmetric: bool, left: _Left) -> None:
        """symmetric: a is c, and only the tiles on and above the diagonal are made."""
        self.a, self.c, self.k, self.bounded, self.left = a, c, k, bounded, left
        across = _tiles(len(c))
        self.places = [(rows, part) for i, rows in enumerate(_tiles(len(a))) for part in across[i * symmetric :]]

    def __iter__(self) -> Iterator[tuple[slice, slice, Tensor]]:
        return self.again([])

    def again(self, kept: list[Tensor]) -> Iterator[tuple[slice, slice, Tensor]]:
        """The same tiles: the first ones those that were kept, the others new. Do not write into them."""
        yield from ((*place, tile) for place, tile in zip(self.places, kept, strict=False))
        for rows, columns in self.places[len(kept) :]:
            if self.left.least is None:
                tile = (self.k * self.a[rows]) @ self.c[columns].T
            else:  # scaled afterwards: rounding must not part candidates that are as near as each other
                tile = self.a[rows] @ self.c[columns].T
                tile.masked_fill_(tile < self.left.least[rows, None], -torch.inf).mul_(self.k)
            if self.bounded:
                yield rows, columns, self.left.out(tile.exp_(), rows, columns, 0.0)
            else:
                yield rows, columns, self.left.out(tile, rows, columns, -torch.inf)


def _symmetric_gradient(z: Tensor, u: Tensor, grid: _Grid, kept: list[Tensor]) -> Tensor:
    """sum_j (g_i P_ij + g_j P_ji) z_j = sum_j e^{s_ij} (u_i + u_j) z_j, with u = g e^{-r}: [n, d]."""
    moved, room = torch.zeros_like(z), z.new_empty(min(TILE, len(z)) ** 2)
    for rows, columns, tile in grid.again(kept):
        weighted = torch.add(u[rows, None], u[None, columns], out=room[: tile.numel()].view_as(tile)).mul_(tile)
        moved[rows].addmm_(weighted, z[columns])
        if rows != columns:
            moved[columns].addmm_(weighted.T, z[rows])
    return moved


class _RowSum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, c: Tensor, left: _Left) -> tuple[Tensor, Tensor]:
        total, count = a.new_zeros(len(a)), a.new_zeros(len(a))
        for rows, _, tile in _Grid(a, c, a.new_ones(()), False, False, left):
            counts = tile != -torch.inf
            count[rows] += counts.sum(dim=1)
            total[rows] += tile.masked_fill_(~counts, 0.0).sum(dim=1)
        ctx.save_for_backward(a, c)
        ctx.left = left
        ctx.mark_non_differentiable(count)
        return total, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        a, c = ctx.saved_tensors
        toward_a, toward_c = torch.zeros_like(a), torch.zeros_like(c)
        for rows, columns, tile in _Grid(a, c, a.new_ones(()), False, False, ctx.left):
            weight = (tile != -torch.inf).to(a.dtype).mul_(g[rows, None])
            toward_a[rows] += weight @ c[columns]
            toward_c[columns] += weight.T @ a[rows]
        return toward_a, toward_c, None
