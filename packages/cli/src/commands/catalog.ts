/** Every command, by the word that calls it. Adding one is adding a line. */
import type { Command } from '../command.ts'
import { completionFor } from './completion.ts'
import { validate } from './validate.ts'
import { version } from './version.ts'

const members = {
  validate,
  version,
} as const satisfies Record<string, Command>

export const commands = {
  ...members,
  completion: completionFor(Object.values(members)),
} as const satisfies Record<string, Command>
