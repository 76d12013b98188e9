/** What a process listens on, as the kernel says (Linux): the same that `ss -ltnp` reads. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'

const LISTEN = '0A'

export interface Listening {
  /** `127.0.0.1:8080`, `[::]:80`. */
  readonly tcp: readonly string[]
  /** Paths of unix sockets, those without a name left out. */
  readonly unix: readonly string[]
}

export function listeningSockets(pid: number): Listening {
  const inodes = new Set(
    readdirSync(`/proc/${pid}/fd`).flatMap((fd) => {
      try {
        return /^socket:\[(\d+)\]$/.exec(readlinkSync(`/proc/${pid}/fd/${fd}`))?.[1] ?? []
      } catch {
        // Closed while we look.
        return []
      }
    }),
  )
  const rows = (table: string) =>
    readFileSync(`/proc/${pid}/net/${table}`, 'utf8')
      .trim()
      .split('\n')
      .slice(1)
      .map((line) => line.trim().split(/\s+/))
  const tcp = ['tcp', 'tcp6'].flatMap((table) =>
    rows(table)
      .filter(([, , , state, , , , , , inode]) => state === LISTEN && inodes.has(inode ?? ''))
      .map(([, local = '']) => addressOf(local)),
  )
  // A path, and the flag of a socket that accepts.
  const unix = rows('unix')
    .filter(([, , , flags, , , inode]) => flags === '00010000' && inodes.has(inode ?? ''))
    .flatMap((row) => row[7] ?? [])
  return { tcp: tcp.sort(), unix }
}

/** `0100007F:1F90`: 32-bit words in the machine's order, here little-endian. */
function addressOf(text: string): string {
  const [host = '', port = ''] = text.split(':')
  const bytes = (host.match(/.{8}/g) ?? []).flatMap((word) =>
    (word.match(/../g) ?? []).reverse().map((byte) => Number.parseInt(byte, 16)),
  )
  const number = Number.parseInt(port, 16)
  if (bytes.length === 4) return `${bytes.join('.')}:${number}`
  return bytes.every((byte) => byte === 0) ? `[::]:${number}` : `[${host}]:${number}`
}
