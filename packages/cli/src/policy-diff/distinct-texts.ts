/**
 * Texts that differ in which patterns match them: one for each combination that any text of a
 * language can have, found by walking all automata at once, shortest first. What patterns cannot
 * tell apart need not be tried twice, so these texts stand for all.
 */
import { LazyDfa } from './lazy-dfa.ts'

export interface DistinctText {
  readonly text: string
  /** Which of the patterns match. */
  readonly matched: readonly boolean[]
}

export interface DistinctTexts {
  readonly texts: readonly DistinctText[]
  /** False: there were too many combinations to find them all. */
  readonly isComplete: boolean
}

const MAX_STATES = 100_000
/** Stand for every character that no pattern names, in the order of liking. */
const LETTERS = ['x', 'q', 'z', 'w', 'v', 'k', 'j', 'u']
const CAPITALS = ['X', 'Q', 'Z', 'W', 'V', 'K']
const DIGITS = ['7', '9', '5', '3']

interface Step {
  readonly text: string
  readonly language: number
  readonly states: readonly number[]
  /** What matched the text up to the mark. */
  readonly before: string
}

/**
 * @param language Pattern of the texts that can occur.
 * @param mark A character before which the text is looked at, too: hosts count with and without port.
 * @throws {UnknownPattern} For what no automaton is made of.
 */
export function distinctTexts(
  patterns: readonly string[],
  language: string,
  mark?: string,
): DistinctTexts {
  const all = patterns.map((pattern) => new LazyDfa(pattern))
  const allowed = new LazyDfa(language)
  const alphabet = alphabetOf([...all, allowed])
  const first: Step = {
    text: '',
    language: allowed.start,
    states: all.map(({ start }) => start),
    before: '',
  }
  const found = new Map<string, DistinctText>()
  const seen = new Set([keyOf(first)])
  const queue = [first]
  const vectorOf = (states: readonly number[]) =>
    states.map((one, i) => all[i]?.accepts(one) === true)
  for (let at = 0; at < queue.length; at++) {
    const step = queue[at] as Step
    if (allowed.accepts(step.language)) {
      const matched = vectorOf(step.states)
      const key = `${matched.join()} ${step.before}`
      if (!found.has(key)) found.set(key, { text: step.text, matched })
    }
    if (queue.length > MAX_STATES) return { texts: [...found.values()], isComplete: false }
    for (const char of alphabet) {
      const next: Step = {
        text: step.text + char,
        language: allowed.step(step.language, char),
        states: step.states.map((one, i) => all[i]?.step(one, char) ?? 0),
        before: char === mark ? vectorOf(step.states).join() : step.before,
      }
      const key = keyOf(next)
      if (allowed.isDead(next.language) || seen.has(key)) continue
      seen.add(key)
      queue.push(next)
    }
  }
  return { texts: [...found.values()], isComplete: true }
}

function keyOf({ language, states, before }: Step): string {
  return `${language} ${states.join()} ${before}`
}

function alphabetOf(all: readonly LazyDfa[]): readonly string[] {
  const named = new Set(all.flatMap(({ chars }) => [...chars]))
  const fresh = [LETTERS, CAPITALS, DIGITS].flatMap((list) => {
    const free = list.find((char) => !named.has(char))
    return free === undefined ? [] : [free]
  })
  return [...fresh, ...named]
}
