/** Every registry, by the name that status and logs use. Adding one is adding a line. */
// not a member: conformance.ts
// not a member: shrink-guard.ts
import type { Registry } from './registry.ts'
import { SelfRegistration } from './self-registration.ts'
import { StaticRegistry } from './static.ts'

export const registries = {
  static: StaticRegistry,
  'self-registration': SelfRegistration,
} as const satisfies Record<string, abstract new (...args: never[]) => Registry>
