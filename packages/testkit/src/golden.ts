/**
 * Expected outputs in files: `in` → `out`, reviewed by people and compared byte
 * for byte. `UPDATE_GOLDEN=1` writes what came out instead of comparing.
 */
import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'

export function checkGolden(path: string, actual: string): void {
  if (process.env.UPDATE_GOLDEN === '1') {
    writeFileSync(path, actual)
    return
  }
  assert.ok(existsSync(path), `${path} is missing: run once with UPDATE_GOLDEN=1 and review it`)
  assert.equal(actual, readFileSync(path, 'utf8'), `${path} differs; UPDATE_GOLDEN=1 accepts it`)
}

/** Plain values as YAML, without what is empty: absent, `[]`, `{}`. Maps become objects. */
export function renderYaml(value: unknown): string {
  return `${lines(value).join('\n')}\n`
}

function lines(value: unknown): string[] {
  if (Array.isArray(value)) {
    return value.flatMap((item) => {
      const [first = '{}', ...rest] = lines(item)
      return [`- ${first}`, ...rest.map((line) => `  ${line}`)]
    })
  }
  if (value instanceof Map) return lines(Object.fromEntries(value))
  if (typeof value === 'object' && value !== null) {
    return Object.entries(value)
      .filter(([, item]) => !isEmpty(item))
      .flatMap(([key, item]) => {
        const name = /^[\w.-]+$/.test(key) ? key : JSON.stringify(key)
        return typeof item === 'object'
          ? [`${name}:`, ...lines(item).map((line) => `  ${line}`)]
          : [`${name}: ${scalar(item)}`]
      })
  }
  return [scalar(value)]
}

function isEmpty(value: unknown): boolean {
  if (value === undefined || value === null) return true
  if (value instanceof Map) return value.size === 0
  return typeof value === 'object' && Object.values(value).every(isEmpty)
}

function scalar(value: unknown): string {
  if (typeof value !== 'string') return JSON.stringify(value)
  const isPlain =
    /^[A-Za-z/_][\w./|~:-]*$/.test(value) && !/^(true|false|null|yes|no|on|off)$|:$/i.test(value)
  if (isPlain) return value
  return value.includes('"') && !/['\n\\]/.test(value) ? `'${value}'` : JSON.stringify(value)
}
