dfm 1
block f(a: [B]) -> [B] {
  x = f(a, [b
  return x
}
block g(a: [B],
        D: dim, io: dim -> dim,
        c:
        const) -> [B] {
  if x { y = (a } else { z = 3 }
block h
