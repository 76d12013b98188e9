/**
 * Who holds what: the newest certificate of every proxy, and the bundle that it acknowledged. It is
 * what a rotation of the root waits for.
 */
import type { BundleHolder } from '@weft/identity'

interface Issued {
  readonly rootKeyId: string
  /** Wall clock, milliseconds. */
  readonly notAfterMs: number
}

/** A connected proxy, as far as certificates go. */
export interface ConnectedHolder {
  readonly nodeId: string
  /** What it says it is, as a SPIFFE id. */
  readonly identity: string
  /** Whether it asked for the bundle. */
  readonly takesBundle: boolean
  /** Whether the bundle that it acknowledged is the one in force. */
  readonly hasBundle: boolean
}

const MAX_ISSUED = 100_000

export class IssuedCertificates {
  /** In the order of issue. */
  readonly #issued = new Map<string, Issued>()
  #total = 0

  /** @param nodeId Absent: whoever asked did not say. */
  note(identity: string, nodeId: string | undefined, issued: Issued): void {
    const key = keyOf(identity, nodeId ?? '')
    this.#issued.delete(key)
    this.#issued.set(key, issued)
    this.#total++
    if (this.#issued.size <= MAX_ISSUED) return
    const [oldest] = this.#issued.keys()
    if (oldest !== undefined) this.#issued.delete(oldest)
  }

  /** Since the start. */
  get total(): number {
    return this.#total
  }

  /** Proxies whose newest certificate has not ended. */
  living(nowMs: number): number {
    let count = 0
    for (const { notAfterMs } of this.#issued.values()) if (notAfterMs > nowMs) count++
    return count
  }

  /** Connected proxies that take their identity from here. */
  holders(
    connected: readonly ConnectedHolder[],
    bundleVersion: number,
    nowMs: number,
  ): readonly BundleHolder[] {
    const found = new Map<string, BundleHolder>()
    for (const { nodeId, identity, takesBundle, hasBundle } of connected) {
      const issued =
        this.#issued.get(keyOf(identity, nodeId)) ?? this.#issued.get(keyOf(identity, ''))
      const isLiving = issued !== undefined && issued.notAfterMs > nowMs
      if (!takesBundle && !isLiving) continue
      const rootKeyId = isLiving ? issued.rootKeyId : undefined
      const before = found.get(nodeId)
      // Of two streams of one proxy, the one that is behind counts.
      const version = hasBundle && before?.bundleVersion !== 0 ? bundleVersion : 0
      found.set(nodeId, { name: nodeId, bundleVersion: version, rootKeyId })
    }
    return [...found.values()]
  }
}

function keyOf(identity: string, nodeId: string): string {
  return `${identity} ${nodeId}`
}
