dfm 1
import "std/nn.dfm
dim A = 4
