dfm 1
import "std/nn.dfm"
import "a.dfm" as b

## The batch.
##  More of it.
dim B = dynamic(1..64, 8), D

# an ordinary comment
const EPS: f32 = 1e-6
const NAMES = ("a", true, 3)
require D % 2 == 0, "even"

## not doc: a blank line follows

op f(x: any[..., D], w: f32[D] = 1, eps: const = 1e-5, n: dim, io: dim -> dim, s: f32, t: f32[]) -> [..., D] {
  y[..., d] = x[..., d] * w[d]
  return y
} vjp (dx, dw) {
  dx[..., d] = dy[..., d]
}
block g(x: [B]) -> (y: [B], z: f32[2 * B]) { return x, x }
block empty() -> f32 { }
model m(x: f32[B, D]) -> f32[B, D] { return x }
sampler s(y: i32[B], steps: const = 50) for m -> f32[B] { return y }
