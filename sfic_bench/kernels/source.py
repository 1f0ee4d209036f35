"""The Triton kernel of `sfic_bench.kernels.interactive_conv`. Only `sfic_bench.kernels.launch` imports this module.

The kernel is one function without helpers, so that Triton's compiler and its interpreter can take the same source.
"""

import triton
import triton.language as tl


@triton.jit
def interactive_conv_kernel(
    result, own, own_weight, other, other_weight, to_row, to_column, bias, residual,
    images, height, width, other_height, other_width, output_units, own_units, other_units, unit: tl.constexpr,
    kernel_height: tl.constexpr, kernel_width: tl.constexpr, repeat_rows: tl.constexpr, repeat_columns: tl.constexpr,
    has_bias: tl.constexpr, has_residual: tl.constexpr, activation: tl.constexpr, precision: tl.constexpr,
    rows: tl.constexpr, columns: tl.constexpr, depth: tl.constexpr,
):  # fmt: skip
    """Write ``rows`` pixels × ``columns`` channels of the result; tensors are dense NHWC, weights OHWI.

    Row i of a tile is neighbour i % r of the product's row i // r, where r = repeat_rows · repeat_columns, and rows
    of products go over images, heights and widths divided by the repeats. Channels are given in units, so that the
    compiler knows by how much they can be divided, and how many bytes it may read at once.
    """
    outputs = output_units * unit
    own_channels = own_units * unit
    other_channels = other_units * unit
    repeat: tl.constexpr = repeat_rows * repeat_columns
    taps: tl.constexpr = kernel_height * kernel_width
    column_tiles = (outputs + columns - 1) // columns
    first_row = (tl.program_id(0) // column_tiles) * rows
    channel = (tl.program_id(0) % column_tiles) * columns + tl.arange(0, columns)
    lane = tl.arange(0, depth)
    low_height = height // repeat_rows
    low_width = width // repeat_columns
    products = images * low_height * low_width

    # The other convolution, once for each group of neighbours.
    low = first_row // repeat + tl.arange(0, rows // repeat)
    low_image = low // (low_height * low_width)
    low_row = tl.load(to_row + low // low_width % low_height * repeat_rows, mask=low < products, other=0)
    low_column = tl.load(to_column + low % low_width * repeat_columns, mask=low < products, other=0)
    low_place = ((low_image * other_height + low_row) * other_width + low_column) * other_channels
    low_total = tl.full((rows // repeat, columns), 0.0, tl.float32)
    other_steps = (other_channels + depth - 1) // depth
    for step in range(taps * other_steps):
        y = step // other_steps // kernel_width - kernel_height // 2
        x = step // other_steps % kernel_width - kernel_width // 2
        k = step % other_steps * depth + lane
        is_inside = (low < products) & (low_row + y >= 0) & (low_row + y < other_height)
        is_inside = is_inside & (low_column + x >= 0) & (low_column + x < other_width)
        a = tl.load(
            other + (low_place + (y * other_width + x) * other_channels)[:, None] + k[None, :],
            mask=is_inside[:, None] & (k < other_channels)[None, :],
            other=0.0,
        )
        b = tl.load(
            other_weight + (channel * taps + step // other_steps)[None, :] * other_channels + k[:, None],
            mask=(k < other_channels)[:, None] & (channel < outputs)[None, :],
            other=0.0,
        )
        low_total = tl.dot(a, b, low_total, input_precision=precision)
    total = tl.reshape(tl.broadcast_to(low_total[:, None, :], (rows // repeat, repeat, columns)), (rows, columns))

    # The branch's own convolution, added to it.
    index = first_row + tl.arange(0, rows)
    low = index // repeat
    row = low // low_width % low_height * repeat_rows + index % repeat // repeat_columns
    column = low % low_width * repeat_columns + index % repeat % repeat_columns
    pixel = (low // (low_height * low_width) * height + row) * width + column
    own_steps = (own_channels + depth - 1) // depth
    for step in range(taps * own_steps):
        y = step // own_steps // kernel_width - kernel_height // 2
        x = step // own_steps % kernel_width - kernel_width // 2
        k = step % own_steps * depth + lane
        is_inside = (low < products) & (row + y >= 0) & (row + y < height)
        is_inside = is_inside & (column + x >= 0) & (column + x < width)
        a = tl.load(
            own + ((pixel + y * width + x) * own_channels)[:, None] + k[None, :],
            mask=is_inside[:, None] & (k < own_channels)[None, :],
            other=0.0,
        )
        b = tl.load(
            own_weight + (channel * taps + step // own_steps)[None, :] * own_channels + k[:, None],
            mask=(k < own_channels)[:, None] & (channel < outputs)[None, :],
            other=0.0,
        )
        total = tl.dot(a, b, total, input_precision=precision)

    is_written = (low < products)[:, None] & (channel < outputs)[None, :]
    place = (pixel * outputs)[:, None] + channel[None, :]
    if has_bias:
        total = total + tl.load(bias + channel, mask=channel < outputs, other=0.0).to(tl.float32)[None, :]
    if has_residual:
        total = total + tl.load(residual + place, mask=is_written, other=0.0).to(tl.float32)
    # Comparisons, not maxima, so that NaN stays NaN.
    if activation == "relu":
        total = tl.where(total < 0, 0.0, total)
    elif activation == "relu6":
        total = tl.where(total < 0, 0.0, tl.where(total > 6, 6.0, total))
    elif activation == "silu":
        total = total / (1 + tl.exp(-total))
    tl.store(result + place, total.to(result.dtype.element_ty), mask=is_written)
