dfm 1
dim A 4
block (x: [B]) -> [B] { return x }
block f(x) -> [B] { return x }
block f(x: [B]) { return x }
require a = b
const p = a ** 2
train t of dit { use x() }
layout l for m { mesh dp; shard B dp }
weights w for m { map "a" "b" }
precision p for m { keep f32 rms }
variant x for m { }
import std
dim A = [1, 2
