/** Set in the environment of a process that is a worker of another's proxy, see `workers.ts`. */
export const WORKER = 'WEFT_WORKER'
