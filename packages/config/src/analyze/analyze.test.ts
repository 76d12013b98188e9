import assert from 'node:assert/strict'
import { test } from 'node:test'
import { validateDocuments } from '../validate.ts'

/** `path code` of everything that the analysis says about one text. */
function analysed(text: string): readonly string[] {
  const { problems } = validateDocuments([{ file: 'x.yaml', text }])
  assert.ok(!problems.some(({ severity }) => severity === 'error'), JSON.stringify(problems))
  return problems
    .filter(({ code }) => code !== 'not-acted-on')
    .map((one) => `${one.path} ${one.code}`)
}

const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: reviews }
spec: { ports: [{ name: http, port: 9080 }] }
---`

const route = (spec: string, name = 'reviews') => `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec: ${spec}
---`

test('rules alone, without any service, are not blamed for what they refer to', () => {
  const text = route(
    '{ hosts: [a], http: [{ route: [{ destination: { host: a, subset: v1 } }] }] }',
  )
  assert.deepEqual(analysed(text), [])
})

test('what exists is found by short and by full name', () => {
  for (const host of ['reviews', 'reviews.default.svc.cluster.local']) {
    const text = route(
      `{ hosts: [x.com], http: [{ route: [{ destination: { host: ${host} } }] }] }`,
    )
    assert.deepEqual(analysed(SERVICE + text), [])
  }
  const elsewhere = route(
    '{ hosts: [x.com], http: [{ route: [{ destination: { host: reviews.default } }] }] }',
  )
  assert.deepEqual(analysed(SERVICE + elsewhere), [
    'spec.http[0].route[0].destination.host missing-host',
  ])
})

test('a wildcard ServiceEntry covers the hosts below it', () => {
  const entry = `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: wild }
spec: { hosts: ['*.example.com'], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: NONE }
---`
  const text = route(
    '{ hosts: [a], http: [{ route: [{ destination: { host: x.example.com } }] }] }',
  )
  assert.deepEqual(analysed(entry + text), [])
})

test('missing ports, subsets, gateways and mirrors are found in every kind of route', () => {
  const text = route(
    `{ hosts: [a], gateways: [gone], http: [{ route: [{ destination: { host: reviews, port: { number: 1 } } }], mirror: { host: gone } }], tcp: [{ route: [{ destination: { host: reviews, subset: v1 } }] }] }`,
  )
  assert.deepEqual(analysed(SERVICE + text), [
    'spec.http[0].route[0].destination.port.number missing-port',
    'spec.http[0].mirror.host missing-host',
    'spec.tcp[0].route[0].destination.subset missing-subset',
    'spec.gateways[0] missing-gateway',
  ])
})

test('a host that the gateway does not serve is found', () => {
  const gateway = (hosts: string) => `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: public }
spec: { servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ${hosts} }] }
---`
  const text = route(
    '{ hosts: [a.example.com], gateways: [public], http: [{ route: [{ destination: { host: reviews } }] }] }',
  )
  for (const hosts of ["['*']", '["*.example.com"]', '["./a.example.com"]', '["default/*"]']) {
    assert.deepEqual(analysed(SERVICE + gateway(hosts) + text), [], hosts)
  }
  for (const hosts of ['[b.example.com]', '["other/*"]']) {
    assert.deepEqual(analysed(SERVICE + gateway(hosts) + text), ['spec.hosts[0] host-not-served'])
  }
})

test('two VirtualServices for one host of the mesh conflict, unless they never meet', () => {
  const spec = (more: string) =>
    `{ hosts: [reviews]${more}, http: [{ route: [{ destination: { host: reviews } }] }] }`
  assert.deepEqual(analysed(SERVICE + route(spec(''), 'a') + route(spec(''), 'b')), [
    'spec.hosts[0] conflicting-hosts',
  ])
  const apart = route(spec(', exportTo: [one]'), 'a') + route(spec(', exportTo: [two]'), 'b')
  assert.deepEqual(analysed(SERVICE + apart), [])
})

test('findings across objects belong to the object and have its file', () => {
  const text = route('{ hosts: [a], http: [{ route: [{ destination: { host: gone } }] }] }')
  const { objects } = validateDocuments([
    { file: 'services.yaml', text: SERVICE },
    { file: 'routes.yaml', text },
  ])
  const [service, virtualService] = objects
  assert.deepEqual(service?.problems, [])
  assert.equal(virtualService?.isValid, true)
  const [problem] = virtualService?.problems ?? []
  assert.deepEqual(
    [problem?.file, problem?.line, problem?.severity, problem?.alias],
    ['routes.yaml', 5, 'warning', 'IST0101'],
  )
})

test('the same object in two files is reported with the place of the first', () => {
  const { problems } = validateDocuments([
    { file: 'a.yaml', text: SERVICE },
    { file: 'b.yaml', text: SERVICE },
  ])
  assert.deepEqual(
    problems.map(({ file, code }) => [file, code]),
    [['b.yaml', 'duplicate-object']],
  )
  assert.match(problems[0]?.message ?? '', /a\.yaml:2/)
})
