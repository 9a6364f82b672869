dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
model f(x: [B, S, D]) -> [B, S, D] {
  a = linear(x, D -> F) as q
  b = linear(x, D -> F) as q
  return x
}
