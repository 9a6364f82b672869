dfm 1
block f(x: [B]) -> [B] {
  dim H = 4
  require H > 2
  param w: f32[D] init normal(std=0.02) as "head.w" tag no_decay
  param t: f32
  buffer pos: f32[S, D] = table(S, D)
  y = x
  a, b[i, ...] = split(x)
  a, b = f(x) as q, x
  repeat blocks[i: L] with x, y { x = g(x) as self }
  repeat 
    again[3] with x.y, "s" { }
  if named { y = x } else if a == 1 { y = 1 } else { y = 2 }
  if not a { }
  return x, y
}
train t for m {
  data x: f32[B] in webdataset("x.npy", pad=Lt)
  minimize mean(x)
  use adamw(lr=1e-4, betas=(0.9, 0.999))
}
