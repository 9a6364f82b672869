dfm 1
dim B = dynamic(1..64, 8), D = (1 + 2) * 3
block f(x: [B, k: 3, ...], io: dim -> dim = 1) -> (y: [B]) {
  y, z[..., d] = g(x.a[0], D -> (H, Dh), k=-v) as "q" init zeros
  repeat r[i: L] with y, a.b { y = y }
  return y
}
