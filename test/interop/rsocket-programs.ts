/** The programs of the interop matrix: who dials brokers, in which language. */
import { alpha } from './rsocket-alpha.ts'
import { field } from './rsocket-field.ts'
import { java, python } from './rsocket-foreign.ts'
import type { ProgramKind } from './rsocket-program.ts'
import { sdk } from './rsocket-sdk.ts'

/** Both generations of the npm client. */
export const npmPrograms: readonly ProgramKind[] = [alpha, field]
export const programs: readonly ProgramKind[] = [...npmPrograms, python, java, sdk]
