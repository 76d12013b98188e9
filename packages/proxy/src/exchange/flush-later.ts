/**
 * What was written to multiplexed connections leaves once per turn of the event
 * loop: many streams, one system call.
 */
export interface Flushable {
  flush(): void
}

let due: Flushable[] = []
let running: Flushable[] = []

/** Each may be here once: who asks twice is flushed twice, which is harmless. */
export function flushLater(item: Flushable): void {
  if (due.length === 0) setImmediate(flushAll)
  due.push(item)
}

function flushAll(): void {
  const now = due
  due = running
  running = now
  for (const item of now) item.flush()
  now.length = 0
}
