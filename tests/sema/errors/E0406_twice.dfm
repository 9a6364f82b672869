dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
dim D = 3
block f(x: [B]) -> [B] { return x }
op f(x: [B]) -> [B] { y[b] = x[b]; return y }
block mean(x: [B]) -> [B] { return x }
