/** TLS files of the machine that the control plane runs on. */
import { readFileSync, statSync } from 'node:fs'
import { getCACertificates } from 'node:tls'
import type { TlsFiles } from './secrets.ts'

/** More than any bundle of authorities. */
const MAX_BYTES = 4 * 1024 * 1024

export const LOCAL_TLS_FILES: TlsFiles = {
  read(path) {
    try {
      const { size } = statSync(path)
      return size > MAX_BYTES ? undefined : readFileSync(path, 'utf8')
    } catch {
      // Absent or unreadable: its secret does not exist, which analysis and status say.
      return undefined
    }
  },
  systemRootsPem: () => getCACertificates('default').join('\n'),
}
