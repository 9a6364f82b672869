dfm 1
block f(x: [B, D]) -> [B, D] {
  return x
block g(x: [B]) -> [B] {
  return x
}
model h(x: [B]) -> [B] {
 return x
