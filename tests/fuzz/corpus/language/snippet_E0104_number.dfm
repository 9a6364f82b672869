dfm 1
dim A = 1__0
const B = .5
const C = 0x10
const D = 3abc
