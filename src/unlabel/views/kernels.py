"""The compiled renderer: one pass per view, from decoded bytes straight into the batch.

The crop is resized into a small planar buffer that stays in the processor's cache, every step of the view works on
it there, and the last one writes it, normalised, into its place in the batch. numba compiles this for the machine
it runs on, once, and keeps it on disk; it runs without Python's lock, so that threads draw views beside the step.

Inner loops run over plain float32 arrays without branches, which is what the compiler turns into vector instructions.
"""

import numpy as np
from numba import carray

from unlabel.views.compiled import bytes_at, compiled
from unlabel.views.resizing import plan, reflected, resized

# Steps: those of the jitter as a record's `order` numbers them, then the others.
BRIGHTNESS, CONTRAST, SATURATION, HUE, GREY, BLUR, SOLARISE = range(7)
JITTER = 7  # stands for the four jitter steps in their drawn order
BOX, PAD, LOAD = range(3)  # kinds of crop
FLOAT32, BFLOAT16, UINT8 = range(3)  # what is written
_BLOCK = 1024  # pixels that pass through several steps at a time, so that they stay in the nearest cache


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
def _centres(x, centres):
    """What contrast moves the channels of x [C, P] toward: all to the mean grey value of RGB, else each to its mean."""
    channels, pixels = x.shape
    for c in range(channels):
        total = np.float32(0.0)
        row = x[c]
        for j in range(pixels):
            total += row[j]
        centres[c] = total / np.float32(pixels)
    if channels == 3:
        centres[:] = _luma(centres[0], centres[1], centres[2])


@compiled
def _blurred(x, side, sigma, radius, space):
    """Gaussian blur of x [C, S * S] in place, reflecting at the border; `radius` is at most that of the window."""
    radius = min(radius, int(4.2 * sigma) + 1)  # what lies further out weighs 3e-5 altogether
    taps = np.zeros(radius + 2, np.float32)  # with one that weighs nothing, so that pairs of pairs come out even
    total = 0.0
    for k in range(radius + 1):
        taps[k] = np.exp(-0.5 * (k / sigma) ** 2)
        total += taps[k] if k == 0 else 2.0 * taps[k]
    for k in range(radius + 1):
        taps[k] /= total
    # Down the columns into `middle`, whose rows are `radius` wider on both sides; across them back into x.
    width = side + 2 * radius
    middle = space[: side * width]
    for c in range(x.shape[0]):
        picture = x[c]
        for y in range(side):
            target = middle[y * width + radius : y * width + radius + side]
            _weighted(target, picture[y * side : (y + 1) * side], taps[0])
            for k in range(1, radius + 1, 2):
                far = k + 1 if k < radius else k
                a, b = reflected(y - k, side) * side, reflected(y + k, side) * side
                c, d = reflected(y - far, side) * side, reflected(y + far, side) * side
                near, beyond = (
                    (picture[a : a + side], picture[b : b + side]),
                    (picture[c : c + side], picture[d : d + side]),
                )
                _add_pairs(target, near, beyond, taps[k], taps[k + 1])
        for y in range(side):
            row = middle[y * width : (y + 1) * width]
            for k in range(1, radius + 1):
                row[radius - k] = row[radius + reflected(-k, side)]
                row[radius + side - 1 + k] = row[radius + reflected(side - 1 + k, side)]
            target = picture[y * side : (y + 1) * side]
            _weighted(target, row[radius : radius + side], taps[0])
            for k in range(1, radius + 1, 2):
                far = k + 1 if k < radius else k
                near = row[radius - k : radius - k + side], row[radius + k : radius + k + side]
                beyond = row[radius - far : radius - far + side], row[radius + far : radius + far + side]
                _add_pairs(target, near, beyond, taps[k], taps[k + 1])


@compiled
def _weighted(target, a, w):
    for j in range(len(target)):
        target[j] = w * a[j]


@compiled
def _add_pairs(target, near, far, w, v):
    """Two pairs at a time: half as often is the target read and written."""
    (a, b), (c, d) = near, far
    for j in range(len(target)):
        target[j] += w * (a[j] + b[j]) + v * (c[j] + d[j])


@compiled
def _block(x, low, high, codes, values, begin, end, centres):
    """Steps begin .. end - 1 on pixels low .. high - 1 of x [C, P]; each needs nothing but the pixel itself."""
    for s in range(begin, end):
        code, value = codes[s], values[s]
        if code == BRIGHTNESS:
            for c in range(x.shape[0]):
                _scale(x[c, low:high], value, np.float32(0.0))
        elif code == CONTRAST:
            for c in range(x.shape[0]):
                _scale(x[c, low:high], value, (np.float32(1.0) - value) * centres[c])
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
def _steps(x, side, codes, values, count, radius, space, centres):
    """All steps on x [C, P]. Contrast needs the mean of the whole picture and blur its neighbourhood: there a stretch
    of pointwise steps ends, within which pixels pass through the steps block by block.
    """
    pixels = x.shape[1]
    begin = 0
    while begin < count:
        if codes[begin] == BLUR:
            _blurred(x, side, values[begin], radius, space)
            begin += 1
            continue
        if codes[begin] == CONTRAST:
            _centres(x, centres)
        end = begin + 1
        while end < count and codes[end] != BLUR and codes[end] != CONTRAST:
            end += 1
        for low in range(0, pixels, _BLOCK):
            _block(x, low, min(low + _BLOCK, pixels), codes, values, begin, end, centres)
        begin = end


@compiled
def render_all(addresses, layout, records, how, order, mean, std, out, form, strides, scratch):
    """Render B images.

    addresses  [B] of the first bytes of the decoded images
    layout     [B, 3] steps in bytes from channel to channel, row to row, column to column of each
    records    RECORD [B]
    how        kind of crop, side of the frame it is cut from, bicubic?, radius of the blur, side S, channels C
    order      steps of the view after the crop
    mean, std  [C]
    out        address of the batch; its value (n, c, y, x) is so many on as the sum of each times its `strides`
    form       what is written: FLOAT32 or BFLOAT16, normalised; UINT8, the pixels as they are
    scratch    float32 [C S S + the largest of C S S, (S + 2 radius) S and the longest row of an image]
    """
    kind, frame, cubic, radius, side, channels = how
    # Addressed like the images and not as an array: numba counts references to the parts of arrays, atomically.
    memory = carray(bytes_at(scratch.ctypes.data), (len(scratch),), np.float32)
    x = memory[: channels * side * side].reshape(channels, side * side)
    space = memory[channels * side * side :]
    codes = np.empty(8, np.int64)
    values = np.empty(8, np.float32)  # a step's number
    centres = np.empty(channels, np.float32)
    for n in range(len(records)):
        record = records[n]
        plane, line, step = layout[n, 0], layout[n, 1], layout[n, 2]
        height, width = record.source_height, record.source_width
        size = (channels - 1) * plane + (height - 1) * line + (width - 1) * step + 1
        source = carray(bytes_at(addresses[n]), (size,), np.uint8)
        if kind == BOX:
            rows = plan(record.top, record.height, side, 0, False, False, side, cubic, 1.0)
            columns = plan(record.left, record.width, side, 0, False, record.flip, side, cubic, 1 / 255)
        else:
            rows = plan(0, height, frame, record.top, kind == PAD, False, side, cubic, 1.0)
            columns = plan(0, width, frame, record.left, kind == PAD, record.flip, side, cubic, 1 / 255)
        resized(x.reshape(channels, side, side), source, plane, line, step, rows, columns, space)
        if cubic:  # which overshoots at edges
            for c in range(channels):
                _scale(x[c], np.float32(1.0), np.float32(0.0))
        count = _drawn_steps(record, order, codes, values)
        _steps(x, side, codes, values, count, radius, space, centres)
        for c in range(channels):
            place = out + (n * strides[0] + c * strides[1]) * (4, 2, 1)[form]
            factor, shift = np.float32(1.0 / std[c]), np.float32(-mean[c] / std[c])
            if form == FLOAT32:
                _store(x[c], side, place, strides[2], strides[3], factor, shift)
            elif form == BFLOAT16:
                _store_bf16(x[c], side, place, strides[2], strides[3], factor, shift)
            else:
                _store_bytes(x[c], side, place, strides[2], strides[3])


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
def _store(row, side, place, line, step, factor, shift):
    """Write one channel, normalised."""
    out = carray(bytes_at(place), ((side - 1) * (line + step) + 1,), np.float32)
    for y in range(side):
        part = row[y * side : (y + 1) * side]
        target = out[y * line :]
        if step == 1:  # which is turned into vector instructions
            for j in range(side):
                target[j] = part[j] * factor + shift
        else:
            for j in range(side):
                target[j * step] = part[j] * factor + shift


@compiled
def _store_bf16(row, side, place, line, step, factor, shift):
    """The same, rounded to the nearest bfloat16, the upper half of a float32; of two equally near, to the even one."""
    out = carray(bytes_at(place), ((side - 1) * (line + step) + 1,), np.uint16)
    for j in range(len(row)):
        row[j] = row[j] * factor + shift
    bits = row.view(np.uint32)
    for y in range(side):
        part = bits[y * side : (y + 1) * side]
        target = out[y * line :]
        for j in range(side):
            half = np.uint32(0x7FFF) + ((part[j] >> np.uint32(16)) & np.uint32(1))
            target[j * step] = np.uint16((part[j] + half) >> np.uint32(16))


@compiled
def _store_bytes(row, side, place, line, step):
    """Write one channel as bytes, rounded to the nearest."""
    out = carray(bytes_at(place), ((side - 1) * (line + step) + 1,), np.uint8)
    for y in range(side):
        part = row[y * side : (y + 1) * side]
        target = out[y * line :]
        for j in range(side):
            target[j * step] = np.uint8(part[j] * np.float32(255.0) + np.float32(0.5))
