dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
require D % 5 == 0, "width must be a multiple of 5"
require H > 4 and S > 1
