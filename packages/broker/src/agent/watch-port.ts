/** Whether somebody answers at an address: told at the first look, and whenever it changes. */
import { connect } from 'node:net'
import type { Clock } from '@weft/base'
import type { ApplicationAddress } from '../http/application-address.ts'

/** Often while nobody is there, so that a start is not made longer. */
const ABSENT_EVERY_MS = 100
const PRESENT_EVERY_MS = 2_000
const TRY_LIMIT_MS = 1_000
/** A full queue of connections is no absence; two in a row are. */
const FAILURES = 2

/** @returns Ends it. */
export function watchPort(
  address: ApplicationAddress,
  clock: Clock,
  onChange: (isUp: boolean) => void,
): () => void {
  let isUp: boolean | undefined
  let failures = 0
  let cancel = () => {}
  let isOver = false
  const look = async () => {
    const answers = await tryConnect(address, clock)
    if (isOver) return
    failures = answers ? 0 : failures + 1
    const now = answers || (isUp === true && failures < FAILURES)
    if (now !== isUp) {
      isUp = now
      onChange(now)
    }
    const isSteady = answers && isUp
    cancel = clock.after(isSteady ? PRESENT_EVERY_MS : ABSENT_EVERY_MS, look)
  }
  void look()
  return () => {
    isOver = true
    cancel()
  }
}

function tryConnect(address: ApplicationAddress, clock: Clock): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(
      'path' in address ? { path: address.path } : { host: address.host, port: address.port },
    )
    const end = (answers: boolean) => {
      cancel()
      socket.destroy()
      resolve(answers)
    }
    const cancel = clock.after(TRY_LIMIT_MS, () => end(false))
    socket.once('connect', () => end(true))
    socket.once('error', () => end(false))
  })
}
