dfm 1
import "import-itself.dfm" as a
dim B = 4, D = 16
model m(x: f32[B, D]) -> f32[B, D] {
  return x
}
