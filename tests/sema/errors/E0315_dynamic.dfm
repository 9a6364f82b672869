dfm 1
dim B = 2, T = dynamic(2..64), K = 2, Th = T // K, Y = 33, P = 2, G = Y // P
block f(x: [B, T]) -> [B, Th, K] { return split(x, T -> (Th, K)) }
block g(x: [B, Y]) -> [B, G, P] { return split(x, Y -> (G, P)) }
