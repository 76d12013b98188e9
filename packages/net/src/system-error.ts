/** Errors of the operating system, with the `code` that callers decide on. */
import { getSystemErrorName } from 'node:util'

export interface SystemError extends Error {
  readonly code: string
}

/** @param errno libuv's negative error number. */
export function systemError(doing: string, errno: number): SystemError {
  const code = getSystemErrorName(errno)
  return Object.assign(new Error(`Cannot ${doing}: ${code}`), { code })
}
