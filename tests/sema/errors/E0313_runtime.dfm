dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
block f(x: [B, S, D]) -> [B, S, D] {
  if mean(x) > 0 { x = 2 * x }
  return x
}
block g(x: [B, D], k: const = 1) -> [B, D] { return k * x }
block h(x: [B, D]) -> [B, D] { return g(x, k=x) }
