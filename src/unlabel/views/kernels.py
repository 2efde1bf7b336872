"""The compiled renderer: one pass per view, from decoded bytes straight into the batch.

The crop is resized into a small planar buffer that stays in the processor's cache, every step of the view works on
it there, and the last one writes it, normalised, into its place in the batch. numba compiles this for the machine
it runs on, once, and keeps it on disk; it runs without Python's lock, so that threads draw views beside the step.

Inner loops run over plain float32 arrays without branches, which is what the compiler turns into vector instructions.
All of it is in one file because numba keeps what it compiled until this file changes, whatever a function calls.
"""

import numpy as np
from numba import carray

from unlabel.views.compiled import bytes_at, compiled

# Steps: those of the jitter as a record's `order` numbers them, then the others.
BRIGHTNESS, CONTRAST, SATURATION, HUE, GREY, BLUR, SOLARISE = range(7)
JITTER = 7  # stands for the four jitter steps in their drawn order
BOX, PAD, LOAD = range(3)  # kinds of crop
_BLOCK = 1024  # pixels that pass through several steps at a time, so that they stay in the nearest cache


@compiled
def _reflected(i: int, n: int) -> int:
    """Position i of a row of n that is mirrored beyond both ends, the ends themselves not repeated."""
    if i < 0:
        i = -i
    return 2 * (n - 1) - i if i >= n else i


@compiled
def _plan(start, length, frame, offset, reflect, mirrored, side, cubic, total_weight):
    """Which source pixels each of `side` output pixels is made of: (first [side], count [side], weight [side, taps]).

    Source pixels start .. start + length - 1 are resized to `frame` pixels, of which the output shows `side` from
    `offset` on. The filter widens where the box shrinks (antialiasing), sees nothing outside of the box, and is
    normalised over what it sees, to `total_weight`; the rounding of its ends is torch's.
    """
    scale = length / frame
    widen = max(scale, 1.0)
    support = (2.0 if cubic else 1.0) * widen
    first = np.empty(side, np.int64)
    count = np.empty(side, np.int64)
    weight = np.empty((side, int(2 * support) + 2), np.float32)
    for i in range(side):
        place = offset + (side - 1 - i if mirrored else i)
        if reflect:
            place = _reflected(place, frame)
        centre = (place + 0.5) * scale
        low = max(int(centre - support + 0.5), 0)
        high = min(int(centre + support + 0.5), length)
        total = 0.0
        for j in range(low, high):
            d = abs(j - centre + 0.5) / widen
            if cubic:
                w = (
                    (1.5 * d - 2.5) * d * d + 1.0
                    if d < 1.0
                    else ((2.5 - 0.5 * d) * d - 4.0) * d + 2.0
                    if d < 2.0
                    else 0.0
                )
            else:
                w = 1.0 - d if d < 1.0 else 0.0
            weight[i, j - low] = w
            total += w
        while high - low > 1 and weight[i, high - low - 1] == 0.0:
            high -= 1
        first[i], count[i] = start + low, high - low
        for j in range(high - low):
            weight[i, j] *= total_weight / total
    return first, count, weight


@compiled
def _mix(target, n, a, b, wa, wb):
    for j in range(n):
        target[j] = wa * a[j] + wb * b[j]


@compiled
def _add(target, n, a, b, wa, wb):
    for j in range(n):
        target[j] += wa * a[j] + wb * b[j]


@compiled
def _sum_rows(target, n, source, origin, stride, taps, weight):
    """target[j] = sum_k weight[k] source[origin + k stride + j], for j < n."""
    if taps == 1:
        row = source[origin : origin + n]
        w = weight[0]
        for j in range(n):
            target[j] = w * row[j]
        return
    at = origin + stride
    _mix(target, n, source[origin : origin + n], source[at : at + n], weight[0], weight[1])
    for k in range(2, taps - 1, 2):
        at = origin + k * stride
        _add(target, n, source[at : at + n], source[at + stride : at + stride + n], weight[k], weight[k + 1])
    if taps % 2:
        at = origin + (taps - 1) * stride
        row = source[at : at + n]
        w = weight[taps - 1]
        for j in range(n):
            target[j] += w * row[j]


@compiled
def _gather(target, source, origin, step, first, count, weight):
    """target[i] = sum_k weight[i, k] source[origin + (first[i] + k) step]."""
    for i in range(len(first)):
        at = origin + first[i] * step
        total = np.float32(0.0)
        for k in range(count[i]):
            total += weight[i, k] * source[at + k * step]
        target[i] = total


@compiled
def _resized(x, source, plane, line, step, rows, columns):
    """Fill x [C, S, S] from the bytes `source`, whose value (c, y, x) lies at c plane + y line + x step.

    Along the columns first where the box is lower than the result, else along the rows first: fewer sums.
    """
    channels, side = x.shape[0], x.shape[1]
    r_first, r_count, r_weight = rows
    c_first, c_count, c_weight = columns
    top, bottom = r_first[0], r_first[0] + r_count[0]
    left, right = c_first[0], c_first[0] + c_count[0]
    for i in range(1, side):
        top, bottom = min(top, r_first[i]), max(bottom, r_first[i] + r_count[i])
        left, right = min(left, c_first[i]), max(right, c_first[i] + c_count[i])
    if bottom - top <= side:
        narrow = np.empty((bottom - top) * side, np.float32)
        for c in range(channels):
            for y in range(top, bottom):
                row = narrow[(y - top) * side : (y - top + 1) * side]
                _gather(row, source, c * plane + y * line, step, c_first, c_count, c_weight)
            for i in range(side):
                _sum_rows(x[c, i], side, narrow, (r_first[i] - top) * side, side, r_count[i], r_weight[i])
        return
    # One run holds a row of the box: of all channels where they lie side by side, of one where they lie apart.
    together = step > 1
    run = (right - left) * step if together else right - left
    row = np.empty(run, np.float32)
    for i in range(side):
        if together:
            _sum_rows(row, run, source, r_first[i] * line + left * step, line, r_count[i], r_weight[i])
            for c in range(channels):
                _gather(x[c, i], row, c * plane - left * step, step, c_first, c_count, c_weight)
        else:
            for c in range(channels):
                _sum_rows(row, run, source, c * plane + r_first[i] * line + left, line, r_count[i], r_weight[i])
                _gather(x[c, i], row, -left, 1, c_first, c_count, c_weight)


@compiled
def _clip(v):
    v = v if v > np.float32(0.0) else np.float32(0.0)
    return v if v < np.float32(1.0) else np.float32(1.0)


@compiled
def _luma(r, g, b):
    """The grey value of ITU-R BT.601, to the digits that torchvision uses."""
    return np.float32(0.2989) * r + np.float32(0.587) * g + np.float32(0.114) * b


@compiled
def _scale(x, factor, shift):
    for j in range(len(x)):
        x[j] = _clip(x[j] * factor + shift)


@compiled
def _saturation(r, g, b, factor):
    rest = np.float32(1.0) - factor
    for j in range(len(r)):
        grey = rest * _luma(r[j], g[j], b[j])
        r[j] = _clip(r[j] * factor + grey)
        g[j] = _clip(g[j] * factor + grey)
        b[j] = _clip(b[j] * factor + grey)


@compiled
def _hat(h, centre, sign, height):
    return _clip(sign * abs(h - np.float32(centre)) + np.float32(height))


@compiled
def _hue(r, g, b, shift):
    """Turn the colour circle by `shift` in [-1/2, 1/2] turns, keeping each pixel's largest and smallest channel.

    With h in [0, 6) the hue (red 0, green 2, blue 4), a channel lies between the pixel's minimum and maximum by
    red clamp(|h - 3| - 1), green clamp(2 - |h - 2|), blue clamp(2 - |h - 4|): HSV's six cases as three hats.
    """
    turn = np.float32(6.0) * shift
    for j in range(len(r)):
        red, green, blue = r[j], g[j], b[j]
        low = red if red < green else green
        low = low if low < blue else blue
        high = red if red > green else green
        high = high if high > blue else blue
        span = high - low
        per = np.float32(1.0) / (span if span > np.float32(1e-12) else np.float32(1e-12))
        h = (red - green) * per + np.float32(4.0)
        h = (blue - red) * per + np.float32(2.0) if green == high else h
        h = (green - blue) * per if red == high else h
        h += turn  # in [-4, 8]
        h = h + np.float32(6.0) if h < np.float32(0.0) else h
        h = h - np.float32(6.0) if h >= np.float32(6.0) else h
        r[j] = low + span * _hat(h, 3.0, np.float32(1.0), -1.0)
        g[j] = low + span * _hat(h, 2.0, np.float32(-1.0), 2.0)
        b[j] = low + span * _hat(h, 4.0, np.float32(-1.0), 2.0)


@compiled
def _grey(r, g, b):
    for j in range(len(r)):
        grey = _luma(r[j], g[j], b[j])
        r[j] = grey
        g[j] = grey
        b[j] = grey


@compiled
def _solarise(x):
    for j in range(len(x)):
        other = np.float32(1.0) - x[j]
        x[j] = x[j] if x[j] < other else other


@compiled
def _mean_luma(x):
    """The mean grey value of x [3, P]."""
    total = 0.0
    for c in range(3):
        part = np.float32(0.0)
        row = x[c]
        for j in range(len(row)):
            part += row[j]
        total += (0.2989, 0.587, 0.114)[c] * part
    return np.float32(total / x.shape[1])


@compiled
def _blurred(x, side, sigma, radius):
    """Gaussian blur of x [C, S * S] in place, reflecting at the border."""
    taps = np.empty(radius + 1, np.float32)
    total = 0.0
    for k in range(radius + 1):
        value = np.exp(-0.5 * (k / sigma) ** 2)
        taps[k] = value
        total += value if k == 0 else 2.0 * value
    for k in range(radius + 1):
        taps[k] /= total
    middle = np.empty((side, side), np.float32)
    wide = np.empty(side + 2 * radius, np.float32)
    for c in range(x.shape[0]):
        picture = x[c].reshape(side, side)
        for y in range(side):
            target, row = middle[y], picture[y]
            w = taps[0]
            for j in range(side):
                target[j] = w * row[j]
            for k in range(1, radius + 1):
                _add(target, side, picture[_reflected(y - k, side)], picture[_reflected(y + k, side)], taps[k], taps[k])
        for y in range(side):
            target, row = picture[y], middle[y]
            wide[radius : radius + side] = row
            for k in range(1, radius + 1):
                wide[radius - k] = row[_reflected(-k, side)]
                wide[radius + side - 1 + k] = row[_reflected(side - 1 + k, side)]
            centre = wide[radius : radius + side]
            w = taps[0]
            for j in range(side):
                target[j] = w * centre[j]
            for k in range(1, radius + 1):
                _add(target, side, wide[radius - k : radius - k + side], wide[radius + k : radius + k + side],
                     taps[k], taps[k])  # fmt: skip


@compiled
def _block(x, low, high, codes, values, begin, end):
    """Steps begin .. end - 1 on pixels low .. high - 1 of x [C, P]; each needs nothing but the pixel itself."""
    for s in range(begin, end):
        code, value = codes[s], values[s]
        if code in (BRIGHTNESS, CONTRAST):
            shift = np.float32(0.0) if code == BRIGHTNESS else values[s + len(codes)]
            for c in range(x.shape[0]):
                _scale(x[c, low:high], value, shift)
        elif code == SATURATION:
            _saturation(x[0, low:high], x[1, low:high], x[2, low:high], value)
        elif code == HUE:
            _hue(x[0, low:high], x[1, low:high], x[2, low:high], value)
        elif code == GREY:
            _grey(x[0, low:high], x[1, low:high], x[2, low:high])
        elif code == SOLARISE:
            for c in range(x.shape[0]):
                _solarise(x[c, low:high])


@compiled
def _steps(x, side, codes, values, count, radius):
    """All steps on x [C, P]. Contrast needs the mean of the whole picture and blur its neighbourhood: there a stretch
    of pointwise steps ends, within which pixels pass through the steps block by block.
    """
    pixels = x.shape[1]
    begin = 0
    while begin < count:
        if codes[begin] == BLUR:
            _blurred(x, side, values[begin], radius)
            begin += 1
            continue
        if codes[begin] == CONTRAST:
            values[begin + len(codes)] = (np.float32(1.0) - values[begin]) * _mean_luma(x)
        end = begin + 1
        while end < count and codes[end] != BLUR and codes[end] != CONTRAST:
            end += 1
        for low in range(0, pixels, _BLOCK):
            _block(x, low, min(low + _BLOCK, pixels), codes, values, begin, end)
        begin = end


@compiled
def render_all(addresses, layout, records, how, order, mean, std, out, strides):
    """Render B images.

    addresses  [B] of the first bytes of the decoded images
    layout     [B, 3] steps in bytes from channel to channel, row to row, column to column of each
    records    RECORD [B]
    how        kind of crop, side of the frame it is cut from, bicubic?, radius of the blur, side S, channels C
    order      steps of the view after the crop
    mean, std  [C]
    out        flat float32 memory of the batch; its value (n, c, y, x) lies at the sum of each times its `strides`
    """
    kind, frame, cubic, radius, side, channels = how
    x = np.empty((channels, side * side), np.float32)
    codes = np.empty(8, np.int64)
    values = np.empty(16, np.float32)  # a step's number, and 8 further on what contrast adds
    for n in range(len(records)):
        record = records[n]
        plane, line, step = layout[n, 0], layout[n, 1], layout[n, 2]
        height, width = record.source_height, record.source_width
        size = (channels - 1) * plane + (height - 1) * line + (width - 1) * step + 1
        source = carray(bytes_at(addresses[n]), (size,), np.uint8)
        if kind == BOX:
            rows = _plan(record.top, record.height, side, 0, False, False, side, cubic, 1.0)
            columns = _plan(record.left, record.width, side, 0, False, record.flip, side, cubic, 1 / 255)
        else:
            rows = _plan(0, height, frame, record.top, kind == PAD, False, side, cubic, 1.0)
            columns = _plan(0, width, frame, record.left, kind == PAD, record.flip, side, cubic, 1 / 255)
        _resized(x.reshape(channels, side, side), source, plane, line, step, rows, columns)
        if cubic:  # which overshoots at edges
            for c in range(channels):
                _scale(x[c], np.float32(1.0), np.float32(0.0))
        count = _drawn_steps(record, order, codes, values)
        _steps(x, side, codes, values, count, radius)
        for c in range(channels):
            factor = np.float32(1.0 / std[c])
            shift = np.float32(-mean[c] / std[c])
            first = n * strides[0] + c * strides[1]
            _store(x[c], side, out, first, strides[2], strides[3], factor, shift)


@compiled
def _drawn_steps(record, order, codes, values):
    """Write down the steps that this record takes, in order, and their numbers; returns how many they are."""
    count = 0
    for s in order:
        if s == JITTER and record.jitter:
            for place in range(4):
                code = record.order[place]
                value = (record.brightness, record.contrast, record.saturation, record.hue)[code]
                if value != (np.float32(0.0) if code == HUE else np.float32(1.0)):
                    codes[count], values[count] = code, value
                    count += 1
        elif (s == GREY and record.grey) or (s == SOLARISE and record.solarise):
            codes[count] = s
            count += 1
        elif s == BLUR and record.sigma > 0:
            codes[count], values[count] = s, record.sigma
            count += 1
    return count


@compiled
def _store(row, side, out, first, line, step, factor, shift):
    """Write one channel, normalised, into the batch."""
    for y in range(side):
        part = row[y * side : (y + 1) * side]
        at = first + y * line
        if step == 1:
            target = out[at : at + side]
            for j in range(side):
                target[j] = part[j] * factor + shift
        else:
            for j in range(side):
                out[at + j * step] = part[j] * factor + shift
