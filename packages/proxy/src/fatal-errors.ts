/**
 * What is left to do when something threw that nobody caught: the state is not
 * to be trusted, so the process must end; but what it carries may still end well.
 *
 *     first error ─► logged ─► drain ─► exit 1
 *     second error, or the drain failed ─► exit 1 at once
 */
import type { Logger } from '@weft/base'
import type { ProxyHandle } from './proxy-handle.ts'

/** The part of `process` that this needs. */
export interface FatalErrorSource {
  on(event: 'uncaughtException', listener: (error: unknown) => void): unknown
  off(event: 'uncaughtException', listener: (error: unknown) => void): unknown
}

/**
 * Node reports rejections that nobody handles as uncaught exceptions, so this
 * hears both. The returned function stops listening.
 */
export function drainOnFatalError(
  proxy: Pick<ProxyHandle, 'drain'>,
  source: FatalErrorSource,
  deps: { readonly log: Logger; exit(code: number): void },
): () => void {
  let isEnding = false
  const onError = (error: unknown) => {
    const stack = error instanceof Error ? error.stack : undefined
    deps.log.error('uncaught error', { error, stack })
    if (isEnding) {
      deps.exit(1)
      return
    }
    isEnding = true
    proxy.drain().then(
      () => deps.exit(1),
      () => deps.exit(1),
    )
  }
  source.on('uncaughtException', onError)
  return () => void source.off('uncaughtException', onError)
}
