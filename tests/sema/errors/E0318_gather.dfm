dfm 1
dim B = 2, S = 16, D = 4, E = 5
block row(x: [B, S, D]) -> [B, S] {
  return gather(x, 4, D)
}
block table(x: [B, S, D]) -> [B, S, E] {
  return gather(x, arange(E) - 1, D)
}
block plain(t: [D]) -> [E] {
  return t[arange(E)]
}
block turns(t: [D], x: [D]) -> [D] {
  repeat r[i: E] with x {
    x = x + gather(t, i)
  }
  return x
}
block sums(x: [B, E]) -> [B, D] {
  return scatter_add(arange(E), x, D)
}
block library(x: [B, D]) -> [B, D] {
  return x + embed(arange(E) // 5 + 4, D -> D) as e
}
block right(x: [B, S, D]) -> [B, S, E] {
  return gather(x, min(arange(E), D - 1), D) + gather(x, 3, D)
}
