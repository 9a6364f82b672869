dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
dim Q = D // (H - H)
