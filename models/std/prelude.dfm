# prelude.dfm - what every program sees without an import: the whole standard library.
# All of it is ordinary code in the language. A definition in a program's own file hides the one
# here, and a copy under another name means exactly the same to the compiler.
dfm 1
import "std/nn.dfm"
import "std/position.dfm"
import "std/diffusion.dfm"
import "std/optim.dfm"
