/** `a.{b,c}.d` → `a.b.d`, `a.c.d`; at most one pair of braces. */
export function expand(text) {
  const braces = /^(.*)\{(.*)\}(.*)$/.exec(text)
  if (braces === null) return [text]
  const [, before, alternatives, after] = braces
  return alternatives.split(',').map((one) => before + one + after)
}
