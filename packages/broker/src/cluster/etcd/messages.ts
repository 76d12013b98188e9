/** Requests and answers of etcd's API v3 (`etcdserverpb`, rpc.proto and kv.proto) as plain values. */
import { ProtoWriter, readProto } from './protobuf.ts'

export interface KeyValue {
  readonly key: string
  readonly value: Buffer
  /** Of the write that made this value. */
  readonly modRevision: number
}

export type EtcdOp =
  | { readonly kind: 'put'; readonly key: string; readonly value: string; readonly lease: bigint }
  | { readonly kind: 'delete'; readonly key: string }

export interface EtcdEvent {
  readonly kind: 'put' | 'delete'
  /** Of a delete it has no value. */
  readonly kv: KeyValue
}

export interface RangeAnswer {
  readonly revision: number
  readonly kvs: readonly KeyValue[]
  /** There are further keys behind the last one. */
  readonly hasMore: boolean
}

export interface WatchNews {
  readonly revision: number
  readonly events: readonly EtcdEvent[]
  /** Why there will be no more; undefined: there will. */
  readonly canceled: string | undefined
}

const SERVICE = '/etcdserverpb.'
export const METHODS = {
  range: `${SERVICE}KV/Range`,
  txn: `${SERVICE}KV/Txn`,
  grant: `${SERVICE}Lease/LeaseGrant`,
  revoke: `${SERVICE}Lease/LeaseRevoke`,
  keepAlive: `${SERVICE}Lease/LeaseKeepAlive`,
  timeToLive: `${SERVICE}Lease/LeaseTimeToLive`,
  watch: `${SERVICE}Watch/Watch`,
  authenticate: `${SERVICE}Auth/Authenticate`,
} as const

/** All keys from `key` to before `end`. `revision` 0: as of now. `limit` 0: all of them. */
export function rangeRequest(key: string, end: string, limit: number, revision: number): Buffer {
  return new ProtoWriter().text(1, key).text(2, end).number(3, limit).number(4, revision).finish()
}

export function rangeAnswer(message: Buffer): RangeAnswer {
  const kvs: KeyValue[] = []
  let revision = 0
  let hasMore = false
  for (const { field, number, bytes } of readProto(message)) {
    if (field === 1) revision = revisionIn(bytes)
    else if (field === 2) kvs.push(keyValue(bytes))
    else if (field === 3) hasMore = number !== 0n
  }
  return { revision, kvs, hasMore }
}

/** All operations or none. */
export function txnRequest(ops: readonly EtcdOp[]): Buffer {
  const txn = new ProtoWriter()
  for (const op of ops) txn.message(2, requestOp(op))
  return txn.finish()
}

function requestOp(op: EtcdOp): ProtoWriter {
  const inner = new ProtoWriter().text(1, op.key)
  if (op.kind === 'delete') return new ProtoWriter().message(3, inner)
  return new ProtoWriter().message(2, inner.text(2, op.value).number(3, op.lease))
}

/** The revision that a transaction has made. */
export function txnAnswer(message: Buffer): number {
  for (const { field, bytes } of readProto(message)) if (field === 1) return revisionIn(bytes)
  return 0
}

/** @param ttlS Seconds. */
export function grantRequest(ttlS: number): Buffer {
  return new ProtoWriter().number(1, ttlS).finish()
}

/** `LeaseRevokeRequest` and `LeaseKeepAliveRequest` are alike; `keys` is for `LeaseTimeToLive`. */
export function leaseRequest(lease: bigint, keys = false): Buffer {
  return new ProtoWriter().number(1, lease).number(2, keys).finish()
}

export interface LeaseAnswer {
  readonly lease: bigint
  /** Seconds; 0 and less: there is no such lease any more. */
  readonly ttlS: number
  readonly keys: readonly string[]
}

export function leaseAnswer(message: Buffer): LeaseAnswer {
  let lease = 0n
  let ttlS = 0
  const keys: string[] = []
  for (const { field, number, bytes } of readProto(message)) {
    if (field === 2) lease = number
    else if (field === 3) ttlS = Number(number)
    else if (field === 5) keys.push(bytes.toString('utf8'))
  }
  return { lease, ttlS, keys }
}

export function watchRequest(key: string, end: string, fromRevision: number): Buffer {
  const create = new ProtoWriter().text(1, key).text(2, end).number(3, fromRevision)
  // Much news at once comes in several messages (`fragment`, etcd 3.4).
  create.number(8, true)
  return new ProtoWriter().message(1, create).finish()
}

export function watchNews(message: Buffer): WatchNews {
  const events: EtcdEvent[] = []
  let revision = 0
  let isCanceled = false
  let why = ''
  let compacted = 0n
  for (const { field, number, bytes } of readProto(message)) {
    if (field === 1) revision = revisionIn(bytes)
    else if (field === 4) isCanceled = number !== 0n
    else if (field === 5) compacted = number
    else if (field === 6) why = bytes.toString('utf8')
    else if (field === 11) events.push(event(bytes))
  }
  if (!isCanceled && compacted === 0n) return { revision, events, canceled: undefined }
  const reason = why || (compacted === 0n ? 'no reason given' : `compacted at ${compacted}`)
  return { revision, events, canceled: reason }
}

function event(message: Buffer): EtcdEvent {
  let kind: EtcdEvent['kind'] = 'put'
  let kv: KeyValue = { key: '', value: Buffer.alloc(0), modRevision: 0 }
  for (const { field, number, bytes } of readProto(message)) {
    if (field === 1) kind = number === 1n ? 'delete' : 'put'
    else if (field === 2) kv = keyValue(bytes)
  }
  return { kind, kv }
}

export function authenticateRequest(name: string, password: string): Buffer {
  return new ProtoWriter().text(1, name).text(2, password).finish()
}

/** The token that later calls show. */
export function authenticateAnswer(message: Buffer): string {
  for (const { field, bytes } of readProto(message)) if (field === 2) return bytes.toString('utf8')
  return ''
}

function revisionIn(header: Buffer): number {
  for (const { field, number } of readProto(header)) if (field === 3) return Number(number)
  return 0
}

function keyValue(message: Buffer): KeyValue {
  let key = ''
  let value = Buffer.alloc(0)
  let modRevision = 0
  for (const { field, number, bytes } of readProto(message)) {
    if (field === 1) key = bytes.toString('utf8')
    else if (field === 3) modRevision = Number(number)
    else if (field === 5) value = Buffer.from(bytes)
  }
  return { key, value, modRevision }
}

/** The first key behind all that begin with `prefix`. */
export function endOfPrefix(prefix: string): string {
  const last = prefix.charCodeAt(prefix.length - 1)
  return `${prefix.slice(0, -1)}${String.fromCharCode(last + 1)}`
}
