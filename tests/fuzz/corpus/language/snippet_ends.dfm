dfm 1
# a line end is a statement end behind names, literals and closing brackets
x = y
x = 3
x = "s"
x = true
x = f(y)
x = a[...]
# not behind an operator, a comma or an arrow
x = y +
  z
x, y,
  z = w
# not in brackets
x = f(a,
      b
)
x = a[
  i
]
# not before a word or an arrow that goes on
x = f(y)
  as z
  init zeros
  tag t
op f(a: [B])
  -> [B] {
  return a
}
vjp (da) { da = dy }
if a { b = 1 }
else { b = 2 }
x = a
  and b
  or c
# comments and empty lines between do not matter
x = f(y)

  # comment
  as z
# before a closing brace, and at the end of the file
f { a = 1 }
f { a = 1; }
f { }
;;
x = y