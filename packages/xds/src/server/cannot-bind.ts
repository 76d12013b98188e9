/**
 * Listeners that one machine has no room for: their port is taken there, or not for this user.
 * The listener is as good as before, so nobody else should pay for it.
 *
 * Envoy, and our own proxy, write a line `<listener>: cannot bind '<address>': <reason>` for each.
 */

/** @returns What the client wrote of this listener behind its name, if that is what it refused it for. */
export function cannotBind(name: string, error: string): string | undefined {
  for (const line of error.split('\n')) {
    const at = line.indexOf(`${name}: cannot bind `)
    const before = line[at - 1]
    const isWhole = at === 0 || before === ' '
    if (at >= 0 && isWhole) return line.slice(at + name.length + 2)
  }
  return undefined
}
