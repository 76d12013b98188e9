const PAUSE_MS = 20

/**
 * Repeats `check` until it does not throw, and returns what it returned. For other processes, which
 * nobody can put on a fake clock.
 *
 * @throws What `check` threw last, once `limitMs` have passed.
 */
export async function eventually<T>(check: () => Promise<T> | T, limitMs = 10_000): Promise<T> {
  const untilMs = performance.now() + limitMs
  for (;;) {
    try {
      return await check()
    } catch (error) {
      if (performance.now() > untilMs) throw error
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
  }
}
