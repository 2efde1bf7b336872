"""Antialiased crop and resize, compiled: which source pixels an output pixel is made of, and the sums."""

import numpy as np

from unlabel.views.compiled import compiled


@compiled
def reflected(i: int, n: int) -> int:
    """Position i of a row of n that is mirrored beyond both ends, the ends themselves not repeated."""
    if i < 0:
        i = -i
    return 2 * (n - 1) - i if i >= n else i


@compiled
def plan(start, length, frame, offset, reflect, mirrored, side, cubic, total_weight):
    """Which source pixels each of `side` output pixels is made of: the first, and the weights of equally many from it.

    Source pixels start .. start + length - 1 are resized to `frame` pixels, of which the output shows `side` from
    `offset` on. The filter widens where the box shrinks (antialiasing), sees nothing outside of the box, and is
    normalised over what it sees, to `total_weight`; the rounding of its ends is torch's.
    """
    scale = length / frame
    widen = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * widen
    first = np.empty(side, np.uintp)
    weight = np.zeros((side, int(2 * support) + 2), np.float32)
    taps = 1
    for i in range(side):
        place = offset + (side - 1 - i if mirrored else i)
        if reflect:
            place = reflected(place, frame)
        centre = (place + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), length)
        total = 0.0
        for j in range(low, high):
            w = _filter(abs(j - centre + 0.5) / widen, cubic)
            weight[i, j - low] = w
            total += w
        while high - low > 1 and weight[i, high - low - 1] == 0.0:
            high -= 1
        for j in range(high - low):
            weight[i, j] *= total_weight / total
        first[i] = start + low
        taps = max(taps, high - low)
    if taps == 3 and length > 3:
        taps = 4  # which is summed without a loop
    for i in range(side):  # near the far end the first pixel moves back, so that all look at `taps` pixels
        back = int(first[i]) + taps - (start + length)
        if back > 0:
            first[i] -= back
            for k in range(taps - 1, -1, -1):
                weight[i, k] = weight[i, k - back] if k >= back else 0.0
    return first, weight[:, :taps].copy()


@compiled
def _filter(d, cubic):
    """A triangle, or Keys' cubic with a = -1/2 as Pillow and torch's antialiasing have it."""
    if not cubic:
        return 1.0 - d if d < 1.0 else 0.0
    if d < 1.0:
        return (1.5 * d - 2.5) * d * d + 1.0
    return ((2.5 - 0.5 * d) * d - 4.0) * d + 2.0 if d < 2.0 else 0.0


@compiled
def _down(target, source, first, stride, weight):
    """target[j] = sum_k weight[k] source[(first + k) stride + j]: one row, made of some rows."""
    n, taps = len(target), len(weight)
    at = first * stride
    if taps == 1:
        a, u = source[at : at + n], weight[0]
        for j in range(n):
            target[j] = u * a[j]
        return
    if taps == 4:
        a, b = source[at : at + n], source[at + stride : at + stride + n]
        at += 2 * stride
        c, d = source[at : at + n], source[at + stride : at + stride + n]
        u, v, w, z = weight[0], weight[1], weight[2], weight[3]
        for j in range(n):
            target[j] = (u * a[j] + v * b[j]) + (w * c[j] + z * d[j])
        return
    for k in range(0, taps - 1, 2):
        at = (first + k) * stride
        a, b, u, v = source[at : at + n], source[at + stride : at + stride + n], weight[k], weight[k + 1]
        if k == 0:
            for j in range(n):
                target[j] = u * a[j] + v * b[j]
        else:
            for j in range(n):
                target[j] += u * a[j] + v * b[j]
    if taps % 2:
        at = (first + taps - 1) * stride
        a, u = source[at : at + n], weight[taps - 1]
        for j in range(n):
            target[j] += u * a[j]


@compiled
def _across(target, source, step, first, weight):
    """target[i] = sum_k weight[i, k] source[(first[i] + k) step]: one row of one channel, resized."""
    taps = np.uintp(weight.shape[1])
    if taps == 2:
        for i in range(len(target)):
            at = first[i] * step
            target[i] = weight[i, 0] * source[at] + weight[i, 1] * source[at + step]
    elif taps == 4:
        two, three = step + step, step + step + step
        for i in range(len(target)):
            at = first[i] * step
            target[i] = (weight[i, 0] * source[at] + weight[i, 1] * source[at + step]) + (
                weight[i, 2] * source[at + two] + weight[i, 3] * source[at + three]
            )
    else:
        for i in range(len(target)):
            at = first[i] * step
            total = np.float32(0.0)
            for k in range(taps):
                total += weight[i, k] * source[at]
                at += step
            target[i] = total


@compiled
def _across_rgb(r, g, b, source, first, weight):
    """The same for three channels side by side, at once: places and weights are looked up once for all."""
    taps, one, two, three = np.uintp(weight.shape[1]), np.uintp(1), np.uintp(2), np.uintp(3)
    if taps == 2:
        for i in range(len(r)):
            at = first[i] * three
            to = at + three
            u, v = weight[i, 0], weight[i, 1]
            r[i] = u * source[at] + v * source[to]
            g[i] = u * source[at + one] + v * source[to + one]
            b[i] = u * source[at + two] + v * source[to + two]
    elif taps == 4:
        for i in range(len(r)):
            at = first[i] * three
            to, on, up = at + three, at + np.uintp(6), at + np.uintp(9)
            u, v, w, z = weight[i, 0], weight[i, 1], weight[i, 2], weight[i, 3]
            r[i] = (u * source[at] + v * source[to]) + (w * source[on] + z * source[up])
            g[i] = (u * source[at + one] + v * source[to + one]) + (w * source[on + one] + z * source[up + one])
            b[i] = (u * source[at + two] + v * source[to + two]) + (w * source[on + two] + z * source[up + two])
    else:
        for i in range(len(r)):
            at = first[i] * three
            red, green, blue = np.float32(0.0), np.float32(0.0), np.float32(0.0)
            for k in range(taps):
                w = weight[i, k]
                red += w * source[at]
                green += w * source[at + one]
                blue += w * source[at + two]
                at += three
            r[i] = red
            g[i] = green
            b[i] = blue


@compiled
def resized(x, source, plane, line, step, rows, columns, space):
    """Fill x [C, S, S] from the bytes `source`, whose value (c, y, x) lies at c plane + y line + x step.

    Across the rows first where the box is lower than the result, else down the columns first: fewer sums.
    """
    channels, side = x.shape[0], x.shape[1]
    (r_first, r_weight), (c_first, c_weight) = rows, columns
    top, bottom = int(r_first.min()), int(r_first.max()) + r_weight.shape[1]
    left, right = int(c_first.min()), int(c_first.max()) + c_weight.shape[1]
    stride = np.uintp(step)
    together = step > 1
    if bottom - top <= side:
        rows_in = bottom - top
        for y in range(rows_in):
            line_in = source[(top + y) * line :]
            if together and channels == 3:
                at, apart = y * side, rows_in * side
                r, g, b = space[at : at + side], space[at + apart : at + apart + side], space[at + 2 * apart :][:side]
                _across_rgb(r, g, b, line_in, c_first, c_weight)
            else:
                for c in range(channels):
                    at = (c * rows_in + y) * side
                    _across(space[at : at + side], line_in[c * plane :], stride, c_first, c_weight)
        for c in range(channels):
            for i in range(side):
                _down(x[c, i], space[c * rows_in * side :], int(r_first[i]) - top, side, r_weight[i])
        return
    # One run holds a row of the box: of all channels where they lie side by side, of one where they lie apart.
    c_first = c_first - np.uintp(left)
    row = space[: (right - left) * step]
    for i in range(side):
        if together:
            _down(row, source[left * step :], int(r_first[i]), line, r_weight[i])
            if channels == 3:
                _across_rgb(x[0, i], x[1, i], x[2, i], row, c_first, c_weight)
            else:
                for c in range(channels):
                    _across(x[c, i], row[c * plane :], stride, c_first, c_weight)
        else:
            for c in range(channels):
                _down(row, source[c * plane + left :], int(r_first[i]), line, r_weight[i])
                _across(x[c, i], row, stride, c_first, c_weight)
