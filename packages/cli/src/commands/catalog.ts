/** Every command, by the word that calls it. Adding one is adding a line. */
import type { Command } from '../command.ts'
import { agent } from './agent.ts'
import { apply } from './apply.ts'
import { auth } from './auth.ts'
import { bootstrap } from './bootstrap.ts'
import { broker } from './broker.ts'
import { ca } from './ca.ts'
import { can } from './can.ts'
import { completionFor } from './completion.ts'
import { control } from './control.ts'
import { dashboard } from './dashboard.ts'
import { deleteCommand } from './delete.ts'
import { demo } from './demo.ts'
import { describe } from './describe.ts'
import { get } from './get.ts'
import { joinToken } from './join-token.ts'
import { policy } from './policy.ts'
import { proxy } from './proxy.ts'
import { run } from './run.ts'
import { simulate } from './simulate.ts'
import { status } from './status.ts'
import { token } from './token.ts'
import { up } from './up.ts'
import { validate } from './validate.ts'
import { version } from './version.ts'

const members = {
  demo,
  up,
  run,
  control,
  proxy,
  agent,
  broker,
  bootstrap,
  'join-token': joinToken,
  token,
  validate,
  apply,
  delete: deleteCommand,
  status,
  get,
  ca,
  auth,
  dashboard,
  describe,
  can,
  policy,
  simulate,
  version,
} as const satisfies Record<string, Command>

export const commands = {
  ...members,
  completion: completionFor(Object.values(members)),
} as const satisfies Record<string, Command>
