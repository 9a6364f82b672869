# optim.dfm - what `use` in a train section can name.
#
# A function's results say what it is. It sees the parameters as flat buffers, one per group.
#   w, and states     an update: formals w, g, lr, step, constants; any other formal that is also
#                     a result is state, zero at first
#   g                 a change of the gradient before the update; `norm` is the length of all
#                     gradients together, after the changes written before
#   lr                a schedule: the factor lr as given, step -> the factor used
#   avg               an average of the weights w, equal to them at first
# `step` is the number of updates done before this one.
dfm 1

## What an average with memory b that started at zero lacks after n terms: 1 / (1 - b^n), where the
## difference loses no digits.
block unbias(b: const, n: f32) -> f32 {
  y = 1.0
  if b > 0 { y = -1 / expm1(n * log(b)) }
  return y
}

## AdamW (Loshchilov & Hutter 2019). skip=TAG: no decay for parameters with that tag.
block adamw(w: f32[...], g: f32[...], m: f32[...], v: f32[...], step: i32, lr: f32,
            betas: const = (0.9, 0.999), eps: const = 1e-8, decay: const = 0.01)
    -> (w: f32[...], m: f32[...], v: f32[...]) {
  b1, b2 = betas
  n  = f32(step) + 1
  m  = b1 * m + (1 - b1) * g
  v  = b2 * v + (1 - b2) * g ^ 2
  m1 = m * unbias(b1, n)
  v1 = v * unbias(b2, n)
  w  = w * (1 - lr * decay) - lr * m1 / (sqrt(v1) + eps)
  return w, m, v
}

## Gradient descent with momentum (0: none).
block sgd(w: f32[...], g: f32[...], m: f32[...], lr: f32, momentum: const = 0.9,
          decay: const = 0.0) -> (w: f32[...], m: f32[...]) {
  m = momentum * m + g
  w = w * (1 - lr * decay) - lr * m
  return w, m
}

## Gradients whose common length exceeds `most` are shortened to it.
block clip_norm(g: f32[...], norm: f32, most: const) -> (g: f32[...]) {
  return g * min(most / (norm + 1e-6), 1.0)
}

## Exponential average of the weights. While few steps are done a shorter memory is used, so that
## the start is forgotten: at the n-th update the share kept is at most (1 + n) / (10 + n).
block ema(avg: f32[...], w: f32[...], step: i32, decay: const, warm: const = true)
    -> (avg: f32[...]) {
  if warm {
    n     = f32(step) + 1
    keep_ = min((1 + n) / (10 + n), decay)
  } else {
    keep_ = decay
  }
  return keep_ * avg + (1 - keep_) * w
}

## Learning rate over time: linear warm-up, then "constant", "cosine" or "linear" down to `least`
## times the rate at step `total`, or "inv_sqrt" after step `ref`.
block lr(lr: f32, step: i32, warmup: const = 0, decay: const = "constant", total: const = 0,
         ref: const = 0, least: const = 0.0) -> (lr: f32) {
  n = f32(step) + 1
  y = lr
  if warmup > 0 { y = y * min(n / warmup, 1.0) }
  if decay == "cosine" or decay == "linear" {
    require total > warmup, "lr: `total` must be larger than `warmup`"
    p = min(max((n - warmup) / (total - warmup), 0.0), 1.0)
    if decay == "cosine" { p = 0.5 - 0.5 * cos(3.141592653589793 * p) }
    y = y * (1 - (1 - least) * p)
  }
  if decay == "inv_sqrt" {
    require ref > 0, "lr: `ref` is the step from which the rate falls"
    y = y * rsqrt(max(n / ref, 1.0))
  }
  if decay != "constant" and decay != "cosine" and decay != "linear" and decay != "inv_sqrt" {
    require false, "lr: `decay` is \"constant\", \"cosine\", \"linear\" or \"inv_sqrt\""
  }
  return y
}
