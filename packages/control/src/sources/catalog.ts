/** Every source, by the name that options use. Adding one is adding a line. */
// not a member: conformance.ts
import { FileSource } from './file.ts'
import type { Source } from './source.ts'

export const sources = {
  file: FileSource,
} as const satisfies Record<string, abstract new (...args: never[]) => Source>
