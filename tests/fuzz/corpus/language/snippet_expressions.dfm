dfm 1
const A = a + b * c - d / e % f // g
const B = -a ^ -b ^ c
const C = a or b and not c == d
const D = a < b + 1
const E = (a + b) * c
const F = 0..n + 1
const G = f(x, D -> (H, Dh), k=v, (A, B) -> C, [B, 2])(y).z[0, ..., k: 0..3]
const H = linear(x) as q init zeros tag t as "a.b"
const I = sum[d, k: 0..3](x[d] * 2)
const J = mean(x, (H, Dh))
const K = [(5, 60), (10, 60)]
const L = (1, "s", true, 80GiB, 1.5e3, 30s)
const M = []
