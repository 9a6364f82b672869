# options: set=dim.Dx=3 set=const.EPSI=2 set=D=4
dfm 1
dim B = dynamic(1..64), S = 16, D = 32, F = 64, H = 4
const EPS = 1e-5
