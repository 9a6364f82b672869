dfm 1
dim B = 2
block p0(x: [B]) -> [B] { return p1(x) + p1(2 * x) }
block p1(x: [B]) -> [B] { return p2(x) + p2(2 * x) }
block p2(x: [B]) -> [B] { return p3(x) + p3(2 * x) }
block p3(x: [B]) -> [B] { return p4(x) + p4(2 * x) }
block p4(x: [B]) -> [B] { return p5(x) + p5(2 * x) }
block p5(x: [B]) -> [B] { return p6(x) + p6(2 * x) }
block p6(x: [B]) -> [B] { return p7(x) + p7(2 * x) }
block p7(x: [B]) -> [B] { return p8(x) + p8(2 * x) }
block p8(x: [B]) -> [B] { return p9(x) + p9(2 * x) }
block p9(x: [B]) -> [B] { return p10(x) + p10(2 * x) }
block p10(x: [B]) -> [B] { return p11(x) + p11(2 * x) }
block p11(x: [B]) -> [B] { return p12(x) + p12(2 * x) }
block p12(x: [B]) -> [B] { return p13(x) + p13(2 * x) }
block p13(x: [B]) -> [B] { return p14(x) + p14(2 * x) }
block p14(x: [B]) -> [B] { return p15(x) + p15(2 * x) }
block p15(x: [B]) -> [B] { return p16(x) + p16(2 * x) }
block p16(x: [B]) -> [B] { return p17(x) + p17(2 * x) }
block p17(x: [B]) -> [B] { return p18(x) + p18(2 * x) }
block p18(x: [B]) -> [B] { return p19(x) + p19(2 * x) }
block p19(x: [B]) -> [B] { return p20(x) + p20(2 * x) }
block p20(x: [B]) -> [B] { return p21(x) + p21(2 * x) }
block p21(x: [B]) -> [B] { return p22(x) + p22(2 * x) }
block p22(x: [B]) -> [B] { return p23(x) + p23(2 * x) }
block p23(x: [B]) -> [B] { return p24(x) + p24(2 * x) }
block p24(x: [B]) -> [B] { return p25(x) + p25(2 * x) }
block p25(x: [B]) -> [B] { return p26(x) + p26(2 * x) }
block p26(x: [B]) -> [B] { return p27(x) + p27(2 * x) }
block p27(x: [B]) -> [B] { return p28(x) + p28(2 * x) }
block p28(x: [B]) -> [B] { return p29(x) + p29(2 * x) }
block p29(x: [B]) -> [B] { return p30(x) + p30(2 * x) }
block p30(x: [B]) -> [B] { return x }
model m(x: [B]) -> [B] { return p0(x) }
