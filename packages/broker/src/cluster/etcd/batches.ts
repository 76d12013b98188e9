/** Writes in portions that etcd takes with its defaults: operations and bytes of a request are limited. */
import type { EtcdOp } from './messages.ts'

/** etcd's default `--max-txn-ops`. */
const MAX_TXN_OPS = 128
/** Below etcd's default `--max-request-bytes` of 1.5 MiB, with room for what is around the text. */
const MAX_TXN_BYTES = 1_048_576

/** The operations in their order; one that is too long by itself is a portion of its own. */
export function* batchesOf(ops: readonly EtcdOp[]): Generator<readonly EtcdOp[]> {
  let batch: EtcdOp[] = []
  let bytes = 0
  for (const op of ops) {
    const more = Buffer.byteLength(op.key) + (op.kind === 'put' ? Buffer.byteLength(op.value) : 0)
    if (batch.length === MAX_TXN_OPS || (batch.length > 0 && bytes + more > MAX_TXN_BYTES)) {
      yield batch
      batch = []
      bytes = 0
    }
    batch.push(op)
    bytes += more
  }
  if (batch.length > 0) yield batch
}
