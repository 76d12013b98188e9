/**
 * Changing the root of a trust domain without a failed handshake. The bundle is what everybody
 * trusts; it is versioned, and proxies acknowledge versions (F13).
 *
 *     +--------+ introduce +--------------+ everybody   +----------+ nobody shows   +--------+
 *     | steady | --------> | distributing | ----------> | switched | -------------> | steady |
 *     +--------+           +--------------+ has the new +----------+ the old one's  +--------+
 *      bundle A             A + B, leaves    root        A + B, leaves  leaves any    B
 *                           by A                         by B           more
 *
 * Pure: time and the proxies' state come in as arguments; the state is plain data, stored as it is.
 */

export interface BundleRoot {
  /** Subject key id, hex. */
  readonly keyId: string
  readonly pem: string
  /** Wall clock, milliseconds. */
  readonly notAfterMs: number
}

export type TrustBundle =
  | { readonly kind: 'steady'; readonly version: number; readonly active: BundleRoot }
  | {
      readonly kind: 'distributing'
      readonly version: number
      readonly active: BundleRoot
      readonly next: BundleRoot
      readonly sinceMs: number
    }
  | {
      readonly kind: 'switched'
      readonly version: number
      readonly active: BundleRoot
      readonly previous: BundleRoot
      readonly sinceMs: number
    }

/** What is known of one proxy that takes its identity from here. */
export interface BundleHolder {
  readonly name: string
  /** Newest version of the bundle that it acknowledged; 0 when none. */
  readonly bundleVersion: number
  /** The root that its certificate leads to; `undefined` before the first. */
  readonly rootKeyId: string | undefined
}

export interface RotationPolicy {
  /** The longest life of a leaf, milliseconds: proxies that are away may hold one so long. */
  readonly maxLeafMs: number
  /** How long a new root is distributed at least, for proxies that are just reconnecting. */
  readonly minDistributeMs: number
}

/** What a rotation waits for, for people. */
export interface Waiting {
  readonly holder: string
  readonly lacks: 'bundle' | 'certificate'
}

export function steady(active: BundleRoot, version = 1): TrustBundle {
  return { kind: 'steady', version, active }
}

/** Everything to be trusted, the active root first. */
export function trustedRoots(bundle: TrustBundle): readonly BundleRoot[] {
  switch (bundle.kind) {
    case 'steady':
      return [bundle.active]
    case 'distributing':
      return [bundle.active, bundle.next]
    case 'switched':
      return [bundle.active, bundle.previous]
  }
}

/** @throws {Error} While another rotation is under way, or when the root is trusted already. */
export function introduce(bundle: TrustBundle, next: BundleRoot, nowMs: number): TrustBundle {
  if (bundle.kind !== 'steady') {
    throw new Error('Cannot introduce a root: the rotation under way must end first')
  }
  if (next.keyId === bundle.active.keyId) {
    throw new Error('Cannot introduce a root: it is the one in use')
  }
  const { active, version } = bundle
  return { kind: 'distributing', version: version + 1, active, next, sinceMs: nowMs }
}

/** Who keeps a rotation from going on; empty when time alone does, or nothing. */
export function waitingFor(
  bundle: TrustBundle,
  holders: readonly BundleHolder[],
): readonly Waiting[] {
  switch (bundle.kind) {
    case 'steady':
      return []
    case 'distributing':
      return holders
        .filter(({ bundleVersion }) => bundleVersion < bundle.version)
        .map(({ name }) => ({ holder: name, lacks: 'bundle' }))
    case 'switched':
      return holders
        .filter(({ rootKeyId }) => rootKeyId !== undefined && rootKeyId !== bundle.active.keyId)
        .map(({ name }) => ({ holder: name, lacks: 'certificate' }))
  }
}

/** When time alone lets the rotation go on, wall clock; `undefined` while steady. */
export function earliestStepMs(bundle: TrustBundle, policy: RotationPolicy): number | undefined {
  switch (bundle.kind) {
    case 'steady':
      return undefined
    case 'distributing':
      return bundle.sinceMs + policy.minDistributeMs
    case 'switched':
      return bundle.sinceMs + policy.maxLeafMs
  }
}

/** The next state when everything it needs is there, else the same object. */
export function advance(
  bundle: TrustBundle,
  holders: readonly BundleHolder[],
  nowMs: number,
  policy: RotationPolicy,
): TrustBundle {
  const earliestMs = earliestStepMs(bundle, policy)
  if (earliestMs === undefined || nowMs < earliestMs) return bundle
  return waitingFor(bundle, holders).length > 0 ? bundle : stepped(bundle, nowMs)
}

function stepped(bundle: TrustBundle, nowMs: number): TrustBundle {
  const { version, active } = bundle
  switch (bundle.kind) {
    case 'steady':
      return bundle
    case 'distributing':
      // Both were trusted before: what is distributed does not change.
      return { kind: 'switched', version, active: bundle.next, previous: active, sinceMs: nowMs }
    case 'switched':
      return { kind: 'steady', version: version + 1, active }
  }
}

/** Back to the old root, while nobody has a certificate of the new one. */
export function abandon(bundle: TrustBundle): TrustBundle {
  if (bundle.kind !== 'distributing') {
    throw new Error('Cannot abandon the rotation: certificates of the new root are out already')
  }
  return { kind: 'steady', version: bundle.version + 1, active: bundle.active }
}
