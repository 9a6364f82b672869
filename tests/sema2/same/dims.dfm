# Equal dims, and exact quotients, known by their normal forms, by facts, and by the values of what is fixed: all results
# are 0.
dfm 1
dim B = dynamic(1..64, 2), D = dynamic(8..4096, 32), H = dynamic(1..8, 4)
dim T3 = 3, Pair = 2
require D % H == 0
require B % 2 == 0
require Q % U == 0
dim Q = D / H, B2 = B / 2, R = 3 * D / H, W = (D - H) / H
block thrice(x: any[..., Q], Q: dim, R: dim) -> any[..., R] {
  return concat(x, x, x, Q -> R)
}
model m(x: f32[B, D], y: f32[Y]) -> (e: f32[Y], f: f32[B, D], g: f32[B, D], a: f32[B, D], b: f32[B, D], c: f32[B, H, Q], d: f32[H, B]) {
  h = split(x, D -> (H, Q))
  a = merge(h, (H, Q) -> D) - x
  b = merge(split(x, B -> (Pair, B2)), (Pair, B2) -> B) - x
  c = h * 3 - sum(split(thrice(h, Q, R), R -> (T3, Q)), T3)
  d = mean(slice(h, Q -> W, 0..W), W) * W - sum(h, Q) + sum(slice(h, Q -> One, W..Q), One)
  e = merge(split(y, Y -> (Gy, Py)), (Gy, Py) -> Y) - y
  z = split(h, Q -> (V, U))
  f, g = merge(split(merge(z, (H, V) -> HV), HV -> (H, V)), (H, V, U) -> D) - x,
         merge(merge(z, (H, V) -> HV), (HV, U) -> D) - x
  return e, f, g, a, b, c, d
}
dim One = 1
# D is made of H and Q, and Q of V and U: so D is made of H, V and U as well, and of HV and U
dim U = 2, V = Q / U, HV = H * V
dim Y = dynamic(8..64, 16), Py = 2, Gy = Y / Py
require Y % 8 == 0
