"""Sizes of the paper's DiTs, the products of their blocks, and what a step computes."""

SIZES = {                                    # hidden, depth, heads
    "S/2": (384, 12, 6), "B/2": (768, 12, 12), "L/2": (1024, 24, 16), "XL/2": (1152, 28, 16),
}
TOKENS = 256
SINUSOID, PATCH_IN, PATCH_OUT = 256, 16, 32


def products(size, batch):
    """Products of a block: (rows, columns, inner, kind) of its four layers, forward, for the
    gradient of the input (dgrad) and of the weight (wgrad)."""
    d, rows = SIZES[size][0], TOKENS * batch
    result = []
    for out, inner in ((3 * d, d), (d, d), (4 * d, d), (d, 4 * d)):
        result += [(rows, out, inner, "forward"), (rows, inner, out, "dgrad"),
                   (out, inner, rows, "wgrad")]
    return result


def model_flops(size, batch, training):
    """In products and attention only, nothing computed twice: a lower bound of what is done.
    Attention: two products forward, five backward (one of them the scores again)."""
    d, depth, _ = SIZES[size]
    rows = TOKENS * batch
    layers = depth * (12 * d * d * rows + 6 * d * d * batch)
    once = (PATCH_OUT * d * rows + 2 * d * d * batch + (SINUSOID + d) * d * batch)
    first = PATCH_IN * d * rows              # its input needs no gradient
    attend = depth * batch * TOKENS * TOKENS * d
    if not training:
        return 2.0 * (layers + once + first + 2 * attend)
    return 2.0 * (3 * (layers + once) + 2 * first + 7 * attend)
