dfm 1
dim B = 4, D = 16
model m(x: f32[B, D]) -> f32[B, D] {
  return g39(x)
}
block g0(x: [B, D]) -> [B, D] {
  return x
}
block g1(x: [B, D]) -> [B, D] {
  return g0(g0(x))
}
block g2(x: [B, D]) -> [B, D] {
  return g1(g1(x))
}
block g3(x: [B, D]) -> [B, D] {
  return g2(g2(x))
}
block g4(x: [B, D]) -> [B, D] {
  return g3(g3(x))
}
block g5(x: [B, D]) -> [B, D] {
  return g4(g4(x))
}
block g6(x: [B, D]) -> [B, D] {
  return g5(g5(x))
}
block g7(x: [B, D]) -> [B, D] {
  return g6(g6(x))
}
block g8(x: [B, D]) -> [B, D] {
  return g7(g7(x))
}
block g9(x: [B, D]) -> [B, D] {
  return g8(g8(x))
}
block g10(x: [B, D]) -> [B, D] {
  return g9(g9(x))
}
block g11(x: [B, D]) -> [B, D] {
  return g10(g10(x))
}
block g12(x: [B, D]) -> [B, D] {
  return g11(g11(x))
}
block g13(x: [B, D]) -> [B, D] {
  return g12(g12(x))
}
block g14(x: [B, D]) -> [B, D] {
  return g13(g13(x))
}
block g15(x: [B, D]) -> [B, D] {
  return g14(g14(x))
}
block g16(x: [B, D]) -> [B, D] {
  return g15(g15(x))
}
block g17(x: [B, D]) -> [B, D] {
  return g16(g16(x))
}
block g18(x: [B, D]) -> [B, D] {
  return g17(g17(x))
}
block g19(x: [B, D]) -> [B, D] {
  return g18(g18(x))
}
block g20(x: [B, D]) -> [B, D] {
  return g19(g19(x))
}
block g21(x: [B, D]) -> [B, D] {
  return g20(g20(x))
}
block g22(x: [B, D]) -> [B, D] {
  return g21(g21(x))
}
block g23(x: [B, D]) -> [B, D] {
  return g22(g22(x))
}
block g24(x: [B, D]) -> [B, D] {
  return g23(g23(x))
}
block g25(x: [B, D]) -> [B, D] {
  return g24(g24(x))
}
block g26(x: [B, D]) -> [B, D] {
  return g25(g25(x))
}
block g27(x: [B, D]) -> [B, D] {
  return g26(g26(x))
}
block g28(x: [B, D]) -> [B, D] {
  return g27(g27(x))
}
block g29(x: [B, D]) -> [B, D] {
  return g28(g28(x))
}
block g30(x: [B, D]) -> [B, D] {
  return g29(g29(x))
}
block g31(x: [B, D]) -> [B, D] {
  return g30(g30(x))
}
block g32(x: [B, D]) -> [B, D] {
  return g31(g31(x))
}
block g33(x: [B, D]) -> [B, D] {
  return g32(g32(x))
}
block g34(x: [B, D]) -> [B, D] {
  return g33(g33(x))
}
block g35(x: [B, D]) -> [B, D] {
  return g34(g34(x))
}
block g36(x: [B, D]) -> [B, D] {
  return g35(g35(x))
}
block g37(x: [B, D]) -> [B, D] {
  return g36(g36(x))
}
block g38(x: [B, D]) -> [B, D] {
  return g37(g37(x))
}
block g39(x: [B, D]) -> [B, D] {
  return g38(g38(x))
}
