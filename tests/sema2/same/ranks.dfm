# Operands of many dims: the result has their union, not their sum. All results are 0.
dfm 1
dim B = 2, C = 2, T = 4, Y = 4, X = 4, C1 = 1, C2 = 2
dim Gt = 2, Pt = 2, Gy = 2, Py = 2, Gx = 2, Px = 2
model m(x: f32[B, C, T, Y, X]) -> (a: f32[B, C, T, Y, X], b: f32[B, T]) {
  h = split(x, C -> (C1, C2), T -> (Gt, Pt), Y -> (Gy, Py), X -> (Gx, Px))
  h = h + h + mean(h, Py, Px) * 0
  a = merge(h, (C1, C2) -> C, (Gt, Pt) -> T, (Gy, Py) -> Y, (Gx, Px) -> X) - 2 * x
  return a, merge(sum(h, (C1, C2), Gy, Py, Gx, Px), (Gt, Pt) -> T) - 2 * sum(x, C, Y, X)
}
