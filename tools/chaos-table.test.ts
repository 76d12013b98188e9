import assert from 'node:assert/strict'
import { test } from 'node:test'
import { ChaosTable } from './chaos-table.ts'

const OUTPUT = `▪ F1: 5 kills: 10 sent
✔ F1 one of two applications is killed (12.5ms)
▪ F2: 2 answers | 1 complete
✖ F2 an answer that breaks off (3ms)
✖ F3 says nothing of itself (1ms)
ℹ tests 3

✖ failing tests:
✖ F2 an answer that breaks off (3ms)
✖ F3 says nothing of itself (1ms)
`
const TABLE = `| row | figures | pass |
|---|---|---|
| F1 | 5 kills: 10 sent | yes |
| F2 | 2 answers \\| 1 complete | NO |
| F3 says nothing of itself | – | NO |
`

test('each row is told once, with its figures and whether it passes, however the output is cut', () => {
  for (let at = 0; at <= OUTPUT.length; at++) {
    const table = new ChaosTable()
    table.take(OUTPUT.slice(0, at))
    table.take(OUTPUT.slice(at))
    assert.equal(table.render(), TABLE)
  }
  assert.equal(new ChaosTable().render(), '')
})
