import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { ResourceSet } from '@weft/model'
import { HTTP_ENTRY_MIME, renderComposite, renderHttpRequest } from '@weft/wire'
import type { Leg } from '../leg.ts'
import { readRequestCall } from '../request-call.ts'
import { Admission, type AdmissionDeps, withAuthority } from './admission.ts'
import { buildWorkloadPolicy } from './workload-policy.ts'

const RESPONDER = {} as Leg

/** What becomes of a call to a workload whose listener has these rules for paths. */
function admit(path: string, rules: object): string {
  const table = { name: 'in', virtualHosts: [] }
  const filter = {
    ...{ kind: 'http', filters: [], routes: { kind: 'inline', table }, accessLogs: [] },
    ...{ normalizePath: true, mergeSlashes: false, ...rules },
  }
  const listener = { name: 'in', direction: 'inbound', filterChains: [{ filter }] }
  const set = {
    listener: new Map([['in', listener]]),
    ...{ route: new Map(), cluster: new Map(), endpoints: new Map() },
  } as unknown as ResourceSet
  const opened = { policy: buildWorkloadPolicy(set), endpoint: { host: '10.0.0.1', port: 80 } }
  const deps = {
    feeds: { kindOf: () => ({ opened }) },
    gates: { of: () => ({ isOpen: true }) },
  } as unknown as AdmissionDeps
  const content = renderHttpRequest({ method: 'GET', path, authority: 'cart', fields: [] })
  const bytes = renderComposite([{ mime: HTTP_ENTRY_MIME, content }])
  const call = readRequestCall('rr', bytes, 0, bytes.length, 'composite', undefined)
  assert.ok(typeof call !== 'string')
  const request = withAuthority(call, 'cart')
  const admitted = new Admission({ leg: {} as Leg, call, request }, deps).admit(RESPONDER)
  if (admitted === RESPONDER) return 'admitted'
  return 'status' in admitted ? String(admitted.status) : 'refused'
}

test('a path that applications read in several ways is refused where the listener of the workload does', () => {
  const strict = { escapedSlashes: 'reject' }
  for (const path of ['/public%2f..%2fadmin', '/a%5cb', '/%c0%ae/admin', '/a/..;x=y/admin']) {
    assert.equal(admit(path, strict), '400', path)
    assert.equal(admit(path, {}), 'admitted', path)
  }
  assert.equal(admit('/public/%20?next=%2f', strict), 'admitted')
})
