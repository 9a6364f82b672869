dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
dim T = dynamic(2..64)
dim Th = T / 2
dim Q = D / 5
