/** A call that cannot be read; the message names the call and the field. */
export class CallError extends Error {
  override readonly name = 'CallError'
}
