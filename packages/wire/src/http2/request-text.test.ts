import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { RequestText, readRequestText } from './request-text.ts'

/** As in a session, one for all. */
const found = new RequestText()

function read(text: string) {
  // Bytes around the text must not be looked at.
  const bytes = Buffer.from(`host: before\r\n${text}host: after\r\n\r\n`, 'latin1')
  const from = 'host: before\r\n'.length
  readRequestText(found, bytes, from, from + text.length)
  const part = (from: number, to: number) => bytes.toString('latin1', from, to)
  const { connect, extended, linesFrom } = found
  const target = part(found.targetFrom, found.targetTo)
  return {
    method: part(found.methodFrom, found.methodTo),
    path: connect ? '' : target,
    authority: connect ? target : part(found.hostFrom, found.hostTo),
    protocol: extended ? part(found.protocolFrom, found.protocolTo) : undefined,
    head: found.head,
    lines: part(linesFrom, from + text.length),
  }
}

describe('pseudo-fields of a request that lies as text', () => {
  test('method, target and the first Host, in any case and without blanks', () => {
    const lines = 'x-host: no\r\nhOsT: \t a.example:80 \t\r\nhost: second\r\n\r\n'
    assert.deepEqual(read(`GET /a?b=c HTTP/1.1\r\n${lines}`), {
      method: 'GET',
      path: '/a?b=c',
      authority: 'a.example:80',
      head: false,
      protocol: undefined,
      lines,
    })
  })

  test('without Host the authority is empty', () => {
    assert.equal(read('GET / HTTP/1.1\r\n\r\n').authority, '')
    assert.equal(read('GET / HTTP/1.1\r\nhost:\r\n\r\n').authority, '')
    assert.equal(read('GET / HTTP/1.1\r\nhosts: a\r\nx: host: b\r\n\r\n').authority, '')
  })

  test("CONNECT's target is the authority, whatever Host says", () => {
    const { authority, path } = read('CONNECT a:443 HTTP/1.1\r\nhost: b\r\n\r\n')
    assert.deepEqual({ authority, path }, { authority: 'a:443', path: '' })
  })

  test('Upgrade counts when Connection lists it as an option, before it or after', () => {
    const protocol = (...lines: string[]) =>
      read(`GET / HTTP/1.1\r\n${lines.map((line) => `${line}\r\n`).join('')}\r\n`).protocol
    const upgrade = 'Upgrade: websocket '
    assert.equal(protocol(upgrade, 'Connection: Upgrade'), 'websocket')
    assert.equal(protocol('connection: keep-alive ,\tUPGRADE', upgrade), 'websocket')
    assert.equal(protocol('connection: close', 'connection: upgrade', upgrade), 'websocket')
    assert.equal(protocol(upgrade), undefined)
    assert.equal(protocol('connection: upgrade'), undefined)
    assert.equal(protocol('connection: upgrade-later, no upgrade', upgrade), undefined)
    assert.equal(protocol('connection: close', upgrade), undefined)
  })

  test('any fields in any order are read as a reader of whole lines reads them', () => {
    const name = fc.constantFrom('host', 'HOST', 'Upgrade', 'upgrade', 'Connection', 'ho', 'x')
    const value = fc.constantFrom('', 'a', 'upgrade', 'Upgrade, b', 'c ,upgrade', 'host: d', '\xe9')
    const blank = fc.constantFrom('', ' ', '\t ', '  ')
    const fields = fc.array(fc.tuple(name, blank, value, blank), { maxLength: 7 })
    const method = fc.constantFrom('GET', 'HEAD', 'CONNECT', 'M-SEARCH', 'head')
    const property = fc.property(method, fields, (method, fields) => {
      const lines = fields.map(([name, before, value, after]) => {
        return `${name}:${before}${value}${after}\r\n`
      })
      const valuesOf = (wanted: string) =>
        fields.filter(([name]) => name.toLowerCase() === wanted).map(([, , value]) => value)
      const upgrades = valuesOf('connection').some((value) =>
        value.split(',').some((option) => option.trim().toLowerCase() === 'upgrade'),
      )
      assert.deepEqual(read(`${method} /t HTTP/1.1\r\n${lines.join('')}\r\n`), {
        method,
        path: method === 'CONNECT' ? '' : '/t',
        authority: method === 'CONNECT' ? '/t' : (valuesOf('host')[0] ?? ''),
        head: method === 'HEAD',
        protocol: upgrades ? valuesOf('upgrade')[0] : undefined,
        lines: `${lines.join('')}\r\n`,
      })
    })
    fc.assert(property, { numRuns: 1_000, seed: 7 })
  })
})
