/**
 * `weft apply` and `weft delete` on a watched folder: one file per object,
 * written atomically, only after everything was found valid.
 */
import type { Problem } from '@weft/config'

export interface ApplyResult {
  readonly ok: boolean
  readonly problems: readonly Problem[]
  /** What was done to each object, in the order of the input; empty unless `ok`. */
  readonly objects: readonly {
    readonly kind: string
    readonly namespace: string
    readonly name: string
    readonly outcome: 'created' | 'configured' | 'unchanged'
    readonly file: string
  }[]
}

/**
 * Validates `text` (one or more YAML documents) against itself and the folder,
 * then writes each object into `folder`. Nothing is written when anything is invalid.
 *
 * @param file Name of the text for messages, e.g. `reviews.yaml` or `<stdin>`.
 */
export async function applyFile(
  _folder: string,
  _text: string,
  _file: string,
): Promise<ApplyResult> {
  throw new Error('Cannot apply: not implemented')
}

export interface DeleteResult {
  readonly deleted: readonly { kind: string; namespace: string; name: string; file: string }[]
  readonly missing: readonly { kind: string; namespace: string; name: string }[]
}

/** Removes the named objects from the folder's files, whichever files hold them. */
export async function deleteObjects(
  _folder: string,
  _objects: readonly { kind: string; namespace: string; name: string }[],
): Promise<DeleteResult> {
  throw new Error('Cannot delete: not implemented')
}
