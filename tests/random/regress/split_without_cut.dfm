# A prime number of lanes is not cut: nothing is left to combine, and max of i32 is no sum.
dfm 1
dim B = 2, D = 16411
model m(x: f32[B, D], y: i32[B, D]) -> (a: i32[B], b: f32[B], c: i32[B]) {
  return max(y, D), f32(all(x < 3, D)), sum(y, D)
}
