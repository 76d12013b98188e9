/** Set in the environment of a process that succeeds another, see `upgrade.ts`. */
export const SUCCESSOR = 'WEFT_SUCCESSOR'
