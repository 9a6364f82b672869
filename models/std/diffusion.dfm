# diffusion.dfm - noise schedules, variational bound, flow matching
dfm 1

# ---- DDPM: Ho et al. 2020; tables are computed in f64 and rounded once -----------------------

## n variances from b0 to b1 in equal steps.
block linear_betas(n: const, b0: const, b1: const) -> f32[n] {
  return b0 + (b1 - b0) * arange(n) / (n - 1)
}

## DDIM (Song et al. 2021) with `steps` of n steps, from the noisiest down: the time t, the
## signal's share abar at t, and prev, that of the next step (1 at the end).
op ddim_schedule(n: const, b0: const, b1: const, steps: const)
    -> (t: f32[steps], abar: f32[steps], prev: f32[steps]) {
  require steps > 0 and steps <= n, "ddim_schedule: between 1 and n steps"
  stride   = n // steps
  all_abar = cumprod(1 - linear_betas(n, b0, b1))
  t[i: steps]    = f32((steps - 1 - i) * stride)
  abar[i: steps] = all_abar[(steps - 1 - i) * stride]
  prev[i: steps] = select(i < steps - 1, all_abar[max((steps - 2 - i) * stride, 0)], 1.0)
  return t, abar, prev
}

## log P of x, in bins of 2/255 over [-1, 1], under a normal distribution whose cumulative function
## is 1 / (1 + e^-2u), u(z) = sqrt(2 / pi) (z + 0.044715 z^3) (Improved DDPM's approximation). With
## z in lo..hi: log F(hi) = -softplus(-2 u(hi)), log(1 - F(lo)) = -softplus(2 u(lo)), and the
## difference of the two functions as a product, so that no digits cancel. Not below log 1e-12.
block binned_normal_log(x: f32[...], mu: f32[...], log_std: f32[...]) -> f32[...] {
  r     = 2 * sqrt(2 / 3.141592653589793)
  q     = 0.044715
  s     = exp(-log_std)
  hi    = s * (x - mu + 1 / 255)
  lo    = s * (x - mu - 1 / 255)
  uh    = r * (hi + q * hi * hi * hi)
  ul    = r * (lo + q * lo * lo * lo)
  wide  = r * (2 / 255) * s * (1 + q * (hi * hi + hi * lo + lo * lo))  # uh - ul
  below = -softplus(-uh)
  above = -softplus(ul)
  inside = log(-expm1(-wide)) + below + above
  y = select(x < -0.999, below, select(x > 0.999, above, inside))
  return max(y, -27.631021115928547)
}

## Divergence of N(m1, e^lv1) from N(m2, e^lv2).
block normal_kl(m1: f32[...], lv1: f32[...], m2: f32[...], lv2: f32[...]) -> f32[...] {
  return 0.5 * (lv2 - lv1 - 1 + exp(lv1 - lv2) + (m1 - m2) ^ 2 * exp(-lv2))
}

## The variational bound's term for a learned variance (Nichol & Dhariwal 2021), in bits per
## element, mean over the batch. e: predicted noise; v: in -1..1 between the smallest and the
## largest variance, on a logarithmic scale; x0, xt: data and noisy data; t: the step of each.
block learned_sigma_vlb(e: f32[...], v: f32[...], x0: f32[...], xt: f32[...], t: i32[Bt],
                        betas: f32[Nb], Bt: dim = last_dim(t), Nb: dim = last_dim(betas)) -> f32 {
  abar   = cumprod(1 - betas)
  prev   = abar / (1 - betas)               # abar of the step before; 1 at step 0
  post   = betas * (1 - prev) / (1 - abar)  # variance of the posterior; 0 at step 0
  step   = arange(Nb)
  floor_ = select(step == 0, gather(post, 1), post)
  w0     = gather(betas * sqrt(prev) / (1 - abar), t)
  wt     = gather((1 - prev) * sqrt(1 - betas) / (1 - abar), t)
  least  = gather(log(floor_), t)
  most   = gather(log(betas), t)
  p0     = gather(1 / sqrt(abar), t) * xt - gather(sqrt(1 / abar - 1), t) * e
  m    = w0 * p0 + wt * xt
  part = (v + 1) / 2
  lv   = part * most + (1 - part) * least
  kl   = normal_kl(w0 * x0 + wt * xt, least, m, lv)
  nll  = -binned_normal_log(x0, m, 0.5 * lv)
  return mean(select(t == 0, nll, kl)) / log(2.0)
}

# ---- flow matching: Lipman et al. 2023; t = 0 is data, t = 1 is noise ------------------------

## Times in 0..1 from normal numbers, dense in the middle (Esser et al. 2024).
block logit_normal(g: f32[...], mu: const = 0.0, std: const = 1.0) -> f32[...] {
  return sigmoid(mu + std * g)
}

## Move times toward the noise by the factor `shift` (1: not at all).
block shift_time(t: f32[...], shift: const) -> f32[...] {
  return shift * t / (1 + (shift - 1) * t)
}

## The straight path from data x to noise n at time t; its velocity is n - x.
block flow_path(x: f32[...], n: f32[...], t: f32[...]) -> f32[...] {
  return (1 - t) * x + t * n
}
