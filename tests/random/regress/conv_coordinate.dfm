# random program 1142
dfm 1
dim B = dynamic(1..64, 5)
dim S = 4
dim T = 1
dim E = 1
dim F = 1
dim Q = 1
dim N21 = 3
dim N22 = (S + 0 - 3) // 1 + 1
model m(x: f32[B, T, E], t: f32[B], y: i32[B], ctx: f32[B, T, E]) -> (out: f32[B, T, E], aux: f32[B]) {
  param p8: f32[T, S, F] init xavier_uniform
  v50 = linear(p8, F -> Q, bias=false) as l49
  param w53: [F, Q, N21] init xavier_uniform
  v54 = conv(v50, w53, Q, S -> (N22, N21), stride=1, pad=0)
  t62 = mean(v54, N22, F)
  x = x + t62
  return x, mean(x, T, E)
}
