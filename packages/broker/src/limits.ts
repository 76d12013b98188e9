/** What one peer may cost the broker. Each limit has a counter that tells when it was met. */
export interface BrokerLimits {
  /** The longest frame without prefix, 64 to 16,777,215 bytes. */
  readonly maxFrameBytes: number
  /** The longest frame of a peer that has not shown a SETUP yet: its first one. */
  readonly maxSetupBytes: number
  /** Metadata of one request, over all its fragments. */
  readonly maxMetadataBytes: number
  /** Streams that one connection may have open, of both sides. */
  readonly maxStreams: number
  /** Bytes that wait for a peer: above `soft` it is not read from, above `hard` it is cut. */
  readonly softOutboxBytes: number
  readonly hardOutboxBytes: number
  /** From accept to a SETUP that was let in, in milliseconds; the TLS handshake has as long again. */
  readonly setupTimeoutMs: number
  /** Connections that have not been let in yet, those in their TLS handshake included. */
  readonly maxUnauthenticated: number
  /** KEEPALIVE frames a second from one peer before it is cut. */
  readonly maxKeepalivesPerSecond: number
  /** METADATA_PUSH frames a second from one peer before it is cut. */
  readonly maxPushesPerSecond: number
  /** Fragments that add next to nothing (under 16 bytes), per payload, before its stream ends. */
  readonly maxShortFragments: number
  /** Bytes of frames that wait for a verdict, per connection. */
  readonly maxParkedBytes: number
  /** How long a peer may be away before its session is over, in milliseconds; 0: nobody may resume. */
  readonly resumeWindowMs: number
  /** Bytes of frames that are held for one peer until it says that it has them. */
  readonly maxResumeBytes: number
  /** Connections that can be resumed, at the same time. */
  readonly maxResumable: number
}

export const DEFAULT_LIMITS: BrokerLimits = {
  maxFrameBytes: 0xff_ff_ff,
  maxSetupBytes: 131_072,
  maxMetadataBytes: 65_536,
  maxStreams: 16_384,
  softOutboxBytes: 1_048_576,
  hardOutboxBytes: 33_554_432,
  setupTimeoutMs: 5_000,
  maxUnauthenticated: 1_024,
  maxKeepalivesPerSecond: 20,
  maxPushesPerSecond: 50,
  maxShortFragments: 64,
  maxParkedBytes: 1_048_576,
  resumeWindowMs: 0,
  maxResumeBytes: 262_144,
  maxResumable: 1_024,
}
