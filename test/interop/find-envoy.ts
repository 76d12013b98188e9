/** The Envoy to test against: WEFT_ENVOY, or `envoy` on the path. */
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

export function findEnvoy(): string | undefined {
  const named = process.env.WEFT_ENVOY
  if (named !== undefined && named !== '') return existsSync(named) ? named : undefined
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((folder) => join(folder, 'envoy'))
    .find((path) => existsSync(path))
}
