dfm 1
dim A = 4 & 3
dim B = !4
dim C = 'x'
dim D = “x”
dim É = 3
dim E =  3
