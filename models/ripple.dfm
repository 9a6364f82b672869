# ripple.dfm - a denoiser without attention: each cell of the picture listens to its four neighbours
# with weights of its own per channel, and a global summary tells all cells what the picture is.
dfm 1

dim B  = dynamic(1..1024, 128)
dim C  = 1, Y = 8, X = 8     # channels, height, width
dim D  = 64, L = 6, F = 192  # width, layers, width inside the channel mixer
dim N5 = 5                   # itself, up, down, left, right
dim K  = 64, NC = 10, NCx = NC + 1
dim M4 = 4

# y[b,i,j,d] = sum of the five neighbours, zero beyond the border
op ripple(x: [B, Y, X, D], w: f32[N5, D]) -> [B, Y, X, D] {
  up[b, i: 0..Y, j, d]    = select(i > 0, x[b, max(i - 1, 0), j, d], 0)
  down[b, i: 0..Y, j, d]  = select(i < Y - 1, x[b, min(i + 1, Y - 1), j, d], 0)
  left[b, i, j: 0..X, d]  = select(j > 0, x[b, i, max(j - 1, 0), d], 0)
  right[b, i, j: 0..X, d] = select(j < X - 1, x[b, i, min(j + 1, X - 1), d], 0)
  y[b, i, j, d] = w[0, d] * x[b, i, j, d] + w[1, d] * up[b, i, j, d] + w[2, d] * down[b, i, j, d]
      + w[3, d] * left[b, i, j, d] + w[4, d] * right[b, i, j, d]
  return y
}

block cell(x: [B, Y, X, D], c: [B, D]) -> [B, Y, X, D] {
  param mix: f32[N5, D] init normal(std=0.4)
  s, k, g1, g2 = unstack(linear(silu(c), D -> (M4, D)) as ada, M4)
  h   = rms_norm(x, D) * (1 + k) + s
  x   = x + (1 + g1) * (linear(silu(ripple(h, mix)), D -> D) as out)
  all = linear(mean(x, Y, X), D -> D) as summary  # [B, D]
  f   = gelu(linear(rms_norm(x, D) + all, D -> F) as up, approx="tanh")
  return x + (1 + g2) * (linear(f, F -> D) as down)
}

model ripples(x: f32[B, C, Y, X], t: f32[B], y: i32[B]) -> f32[B, C, Y, X] {
  h = linear(x, C -> D) as stem
  c = linear(sinusoid(t, K), K -> D) as time
  c = c + embed(y, NCx -> D) as label
  repeat cells[i: L] with h { h = cell(h, c) as self }
  return linear(rms_norm(h, D) as norm, D -> C) as head init zeros
}

train flow for ripples {
  data x1: f32[B, C, Y, X] in webdataset("image.npy", path="data/digits.tar")
  data label: i32[B] in webdataset("cls")
  n    = normal([B, C, Y, X])
  s    = sigmoid(normal([B]))
  xt   = (1 - s) * x1 + s * n
  drop = uniform([B])
  v    = ripples(xt, 1000 * s, select(drop < 0.1, NC, label))
  minimize mean((v - (n - x1)) ^ 2)
  use adamw(lr=2e-3)
  use lr(warmup=100)
  use clip_norm(1.0)
  use ema(0.999)
}

sampler euler(y: i32[B], steps: const = 25) for ripples -> f32[B, C, Y, X] {
  x = normal([B, C, Y, X])
  repeat step[i: steps] with x {
    x = x - ripples(x, 1000 * (1 - i / steps), y) / steps
  }
  return x
}
