import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dispatch } from '../dispatch.ts'
import { fakeTerminal } from '../terminal/fake-terminal.ts'

const GOOD = `apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {name: reviews, namespace: shop}
spec:
  hosts: [reviews]
  http:
    - route:
        - destination: {host: reviews}
`
const TYPO = GOOD.replace('http:', 'htpt:').replace('name: reviews', 'name: typo')
const FOREIGN = 'apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: web}\nspec: {}\n'

async function validate(stdin: string, ...words: string[]) {
  const terminal = fakeTerminal({ stdin })
  const exitCode = await dispatch(['validate', '-', ...words], terminal)
  return { exitCode, output: terminal.output(), errors: terminal.errors() }
}

describe('weft validate', () => {
  test('reports every object with exactly the promised fields', async () => {
    const { exitCode, output } = await validate(`${GOOD}---\n${TYPO}`, '--json')
    const reports = JSON.parse(output)
    assert.equal(exitCode, 1)
    assert.deepEqual(reports[0], {
      file: '<stdin>',
      line: 1,
      kind: 'VirtualService',
      namespace: 'shop',
      name: 'reviews',
      valid: true,
      problems: [],
    })
    assert.equal(reports[1].valid, false)
    for (const problem of reports[1].problems) {
      assert.deepEqual(Object.keys(problem), ['path', 'line', 'severity', 'message'])
    }
    const [unknown] = reports[1].problems
    assert.deepEqual([unknown.path, unknown.line, unknown.severity], ['spec.htpt', 15, 'error'])
    assert.match(unknown.message, /did you mean "http"/)
  })

  test('exits 0 when all is valid, and says how many objects that were', async () => {
    const { exitCode, output } = await validate(GOOD)
    assert.equal(exitCode, 0)
    assert.match(output, /^1 object, all valid$/m)
  })

  test('a kind that the mesh does not read is valid and carries a note', async () => {
    const { exitCode, output } = await validate(FOREIGN, '--json')
    const [report] = JSON.parse(output)
    assert.equal(exitCode, 0)
    assert.deepEqual(
      [report.kind, report.valid, report.problems[0].severity],
      ['Deployment', true, 'info'],
    )
  })

  test('a text that is no YAML is one invalid report with its line', async () => {
    const { exitCode, output } = await validate(`${GOOD}---\na: [\n`, '--json')
    const reports = JSON.parse(output)
    assert.equal(exitCode, 1)
    assert.deepEqual(
      reports.map((report: { valid: boolean; kind: string }) => [report.kind, report.valid]),
      [
        ['VirtualService', true],
        ['', false],
      ],
    )
  })

  test('shows place and line of source for people', async () => {
    const { output } = await validate(TYPO)
    assert.match(output, /<stdin>:6/)
    assert.match(output, /1 invalid/)
  })

  test('wants to be told what to validate', async () => {
    const terminal = fakeTerminal()
    assert.equal(await dispatch(['validate'], terminal), 2)
    assert.match(terminal.errors(), /needs a file/)
  })
})
