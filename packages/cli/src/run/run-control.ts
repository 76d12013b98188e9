/** A control plane in a process of its own, until a signal ends it. */
import type { LogScopes } from '@weft/base'
import { type ControlPlane, type ControlPlaneOptions, startControlPlane } from '@weft/control'
import { renderAddress } from '@weft/model'
import { CommandError } from '../command.ts'
import { firstSignal, type Terminal } from '../terminal/terminal.ts'
import { reportReady } from './report-ready.ts'

export async function runControl(
  options: ControlPlaneOptions,
  shown: { readonly isJson: boolean; readonly folders: readonly string[] },
  terminal: Terminal,
  logs: LogScopes,
): Promise<number> {
  const stopped = firstSignal(terminal, () => process.exit(130))
  const plane = await openControlPlane(options, terminal, logs)
  const { xdsTls } = plane
  const addresses = {
    xds: renderAddress(plane.xds),
    ...(xdsTls === undefined ? {} : { xdsTls: renderAddress(xdsTls) }),
    ...(plane.bundleEndpoint === undefined
      ? {}
      : { bundleEndpoint: `https://${renderAddress(plane.bundleEndpoint)}` }),
    admin: `http://${renderAddress(plane.admin)}`,
    ...(plane.adminTls === undefined
      ? {}
      : { adminTls: `https://${renderAddress(plane.adminTls)}` }),
  }
  terminal.out(
    shown.isJson
      ? `${JSON.stringify({ ready: true, ...addresses, folders: shown.folders })}\n`
      : `Control plane is up: xDS ${addresses.xds}${xdsTls === undefined ? '' : `, over TLS ${addresses.xdsTls}`}, admin ${addresses.admin}, watching ${shown.folders.join(', ')}\n`,
  )
  reportReady({ kind: 'control', ports: { xds: plane.xds.port, admin: plane.admin.port } })
  await stopped
  await plane.close()
  return 0
}

/** @throws {CommandError} If it cannot start; the message says what to do about a port that is taken. */
export async function openControlPlane(
  options: ControlPlaneOptions,
  terminal: Terminal,
  logs: LogScopes,
): Promise<ControlPlane> {
  try {
    return await startControlPlane({
      ...options,
      clock: terminal.clock,
      log: logs.logger('control'),
    })
  } catch (error) {
    const taken = (error as NodeJS.ErrnoException).code === 'EADDRINUSE'
    const why = error instanceof Error ? error.message : String(error)
    const hint = taken
      ? '\nAnother control plane may be running; --xds and --admin take other ports.'
      : ''
    throw new CommandError(`Cannot start the control plane: ${why}${hint}`, 1, { cause: error })
  }
}
