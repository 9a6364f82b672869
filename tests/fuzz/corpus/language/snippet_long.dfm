dfm 1
block f(aaaaaaaaaaaa: [B, D], bbbbbbbbbbbbbbbbbbbb: [B, D], cccccccccccccccc: [B, D], dddddddddddd: [B, D]) -> [B, D] {
  y = linear(linear(aaaaaaaaaaaaaaaaaaa, D -> (H, Dh)) as q, linear(bbbbbbbbbbbbbbbbbbbbbbbb, D -> (H, Dh)) as k) # behind
  z = a +
  b +
    (c *
  d)
  w = f(a, # first
  b,   # second

     # own
     c
  )
  v = aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa * b
  u = f(aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, b)
  t = very_long_function_name_very_long_function_name_very_long_function_name(aaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbb, c)
  return y
}
