dfm 1
const A: f32 = 2
const N: i32 = 2.5
const F: bool = 1
const T: f32[3] = 1.0
