# nn.dfm - layers, norms, activations, patches
dfm 1

# ---- layers -------------------------------------------------------------------------------

## y = x W + b over the dims io.src, which become io.dst: linear(x, D -> (H, Dh)) as q.
## Published shape of the weight: [product of io.dst, product of io.src].
block linear(x: [..., io.src], io: dim -> dim, bias: const = true) -> [..., io.dst] {
  param weight: [io.dst, io.src] init xavier_uniform
  y = contract(x, weight, io.src)
  if bias {
    param bias: [io.dst] init zeros tag no_decay
    y = y + bias
  }
  return y
}

## Rows of a table: embed(label, NC -> D) as emb. Indices are clamped to the table.
block embed(index: i32[...], io: dim -> dim) -> [..., io.dst] {
  param weight: [io.src, io.dst] init normal(std=0.02)
  return gather(weight, index, io.src)
}

# ---- norms: with `as` they have parameters, without it they have none ----------------------

## (x - mean) / sqrt(variance + eps) over N, a dim or a group.
block layer_norm(x: any[..., N], N: dim, eps: const = 1e-5) -> any[..., N] {
  c = x - mean(x, N)
  y = c / sqrt(mean(c ^ 2, N) + eps)
  if named {
    param weight: f32[N] init ones tag no_decay
    param bias: f32[N] init zeros tag no_decay
    y = y * weight + bias
  }
  return y
}

## x / sqrt(mean of squares + eps) over N, a dim or a group.
block rms_norm(x: any[..., N], N: dim, eps: const = 1e-6) -> any[..., N] {
  y = x * rsqrt(mean(x ^ 2, N) + eps)
  if named {
    param weight: f32[N] init ones tag no_decay
    y = y * weight
  }
  return y
}

# ---- activations --------------------------------------------------------------------------

## x times the normal distribution's cumulative function: exact ("none") or by tanh.
block gelu(x: any[...], approx: const = "none") -> any[...] {
  if approx == "tanh" {
    y = 0.5 * x * (1 + tanh(sqrt(2 / 3.141592653589793) * (x + 0.044715 * x * x * x)))
  } else {
    if approx != "none" { require false, "gelu: `approx` is \"tanh\" or \"none\"" }
    y = 0.5 * x * (1 + erf(x * sqrt(0.5)))
  }
  return y
}

## x / (1 + e^-x)
block silu(x: any[...]) -> any[...] {
  return x * sigmoid(x)
}

## log(1 + e^x), without overflow
block softplus(x: any[...]) -> any[...] {
  return max(x, 0) + log1p(exp(-abs(x)))
}

## max(x, 0)
block relu(x: any[...]) -> any[...] {
  return max(x, 0)
}

## e^x / sum of e^x over N, a dim or a group
block softmax(x: any[..., N], N: dim) -> any[..., N] {
  e = exp(x - stop_grad(max(x, N)))
  return e / sum(e, N)
}

# ---- patches ------------------------------------------------------------------------------

## Cut two dims into a grid of patches: patchify(x, Y -> (Gy, Py), X -> (Gx, Px)).
block patchify(x: any[..., y.src, x_.src], y: dim -> dim, x_: dim -> dim)
    -> any[..., y.dst, x_.dst] {
  return split(x, y.src -> y.dst, x_.src -> x_.dst)
}

## Back from a sequence: unpatchify(h, S -> (Gy, Gx), (Gy, Py) -> Y, (Gx, Px) -> X).
block unpatchify(x: any[..., s.src, y.src[1], x_.src[1]], s: dim -> dim, y: dim -> dim,
                 x_: dim -> dim) -> any[..., y.dst, x_.dst] {
  h = split(x, s.src -> s.dst)
  return merge(h, y.src -> y.dst, x_.src -> x_.dst)
}

## The two halves of a dim, each under another name: e, v = halves(out, Co -> C).
block halves(x: any[..., io.src], io: dim -> dim)
    -> (low: any[..., io.dst], high: any[..., io.dst]) {
  require io.src == 2 * io.dst, "halves: the dim must be twice the one it is cut into"
  return slice(x, io.src -> io.dst, 0..io.dst), slice(x, io.src -> io.dst, io.dst..io.src)
}
