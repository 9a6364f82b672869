# at most four repeats, one inside the other
dfm 1
dim B = 2
model m(x: f32[B]) -> f32[B] {
  repeat a[i: 2] with x {
    repeat b[j: 2] with x {
      repeat c[k: 2] with x {
        repeat d[l: 2] with x {
          repeat e[n: 2] with x { x = 0.5 * x }
        }
      }
    }
  }
  return x
}
