/** Which content coding a client wants most of those that can be had (RFC 9110, section 12.5.3). */

const QVALUE = /^(?:0(?:\.\d{0,3})?|1(?:\.0{0,3})?)$/

/**
 * @param offered In order of preference: decides between codings that the client likes equally.
 * @returns `undefined`: the answer goes as it is.
 */
export function chooseEncoding<K extends string>(
  acceptEncoding: string,
  offered: readonly K[],
): K | undefined {
  const weights = weightsOf(acceptEncoding)
  const others = weights.get('*') ?? 0
  let best: K | undefined
  // What is not named is as good as a coding that is named last; what is named counts as it says.
  let bestWeight = weights.get('identity') ?? 0
  for (const encoding of offered) {
    const weight = weights.get(encoding) ?? others
    if (weight > 0 && (weight > bestWeight || (best === undefined && weight === bestWeight))) {
      best = encoding
      bestWeight = weight
    }
  }
  return best
}

function weightsOf(header: string): Map<string, number> {
  const weights = new Map<string, number>()
  for (const element of header.split(',')) {
    const [name = '', ...parameters] = element.split(';').map((part) => part.trim().toLowerCase())
    if (name === '') continue
    let weight = 1
    for (const parameter of parameters) {
      const [key = '', value = ''] = parameter.split('=').map((part) => part.trim())
      // A weight that is none is no wish for the coding.
      if (key === 'q') weight = QVALUE.test(value) ? Number(value) : 0
    }
    // RFC 9110, section 8.4.1.3.
    weights.set(name === 'x-gzip' ? 'gzip' : name, weight)
  }
  return weights
}
