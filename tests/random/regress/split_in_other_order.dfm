# A long sum in two stages beside a value over the same dims in another order.
dfm 1
dim B = 2, D = 32768
model m(x: f32[B, D]) -> (s: f32[B], y: f32[D, B]) {
  return sum(x, D), 2 * x
}
