# Functions of numbers, of one element and of tensors, called in comprehensions: all results are 0.
dfm 1
dim B = 2, S = 4, D = 6
block twice(x: f32) -> f32 { return scaled(x, 2.0) }
block scaled(x: f32, by: f32) -> f32 { return x * by }
block generic(x: any[...], by: f32) -> any[...] { return x * by }
block two(x: f32) -> (up: f32, down: f32) { return x + 1, x - 1 }
op clamped(i: i32) -> i32 {
  y = min(max(i, 0), 3)
  return y
}
op all_of_them(x: [B, S, D], w: f32[S], i: i32[B]) -> (a: [B, S, D], b: [B, S, D], c: [B, D]) {
  a[b, s, d] = twice(x[b, s, d]) - scaled(x[b, s, d], 2.0)
  b[b, s, d] = scaled(x[b, s, d], w[s]) - generic(x[b, s, d], w[s]) + two(x[b, s, d]).up - 1 - x[b, s, d]
  c[b, d] = sum[s](select(s == clamped(i[b] - 2), x[b, s, d], 0))
  return a, b, c
}
model m(x: f32[B, S, D], w: f32[S], i: i32[B])
    -> (a: f32[B, S, D], b: f32[B, S, D], c: f32[B, D]) {
  r = all_of_them(x, w, i)
  return r.a, r.b, r.c - gather(x, min(max(i - 2, 0), 3), S)
}
