dfm 1
dim B = 2, D = 32, H = 4
require D % H == 0
model m(x: [B, D]) -> [B, D] { return x }
variant "even" for m { D = 64 }
variant "odd" for m { D = 33 }
