/** Conditions of Gateway API objects as the control plane writes them, cases of the specification. */
import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { createTestCa, eventually, freePort } from '@weft/testkit'
import { fill, gatewayClass, httpRoute, type OpenCase, to } from './gateway-api-cases.ts'
import {
  conditionLines,
  type Mesh,
  type ObjectRow,
  secretYaml,
  serviceYaml,
  startMesh,
} from './mesh.ts'

interface StatusCase {
  readonly name: string
  readonly yaml: string
  /** By `Kind name`, `Kind name/listener` or `Kind name>parent[/section]`: lines that must be there. */
  readonly lines: Readonly<Record<string, readonly string[]>>
  /** By `Kind name/listener`. */
  readonly attached?: Readonly<Record<string, number>>
  readonly kinds?: Readonly<Record<string, readonly string[]>>
}

const gatewayOf = (listeners: string, more = '') => `---
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: {name: gw, namespace: $NS, generation: 4}
spec:
  gatewayClassName: weft
${more}  listeners: [${listeners}]
`
const HTTP = '{name: http, port: $P1, protocol: HTTP}'
const streamRoute = (kind: string, spec: string) => `---
apiVersion: gateway.networking.k8s.io/${kind === 'TCPRoute' ? 'v1alpha2' : 'v1'}
kind: ${kind}
metadata: {name: r, namespace: $NS}
spec: ${spec}
`

const cases: readonly StatusCase[] = [
  {
    name: 'a gateway in order',
    yaml: gatewayOf(HTTP) + httpRoute('r', `  rules: [{${to('v1')}}]`),
    lines: {
      'Gateway gw': ['Accepted=True Accepted', 'Programmed=True Programmed'],
      'Gateway gw/http': [
        'Accepted=True Accepted',
        'Programmed=True Programmed',
        'ResolvedRefs=True ResolvedRefs',
        'Conflicted=False NoConflicts',
      ],
      'HTTPRoute r>gw': ['Accepted=True Accepted', 'ResolvedRefs=True ResolvedRefs'],
    },
    attached: { 'Gateway gw/http': 1 },
    kinds: { 'Gateway gw/http': ['HTTPRoute', 'GRPCRoute'] },
  },
  {
    name: 'backends that do not exist, of an unknown kind, or of another namespace without a grant',
    yaml:
      gatewayOf(HTTP) +
      httpRoute('missing', '  rules: [{backendRefs: [{name: nowhere, port: 80}]}]') +
      httpRoute(
        'kind',
        '  rules: [{backendRefs: [{group: x.example, kind: Thing, name: t, port: 80}]}]',
      ) +
      httpRoute(
        'foreign',
        '  rules: [{backendRefs: [{name: v1, namespace: elsewhere, port: 8080}]}]',
      ),
    lines: {
      'HTTPRoute missing>gw': ['Accepted=True Accepted', 'ResolvedRefs=False BackendNotFound'],
      'HTTPRoute kind>gw': ['Accepted=True Accepted', 'ResolvedRefs=False InvalidKind'],
      'HTTPRoute foreign>gw': ['Accepted=True Accepted', 'ResolvedRefs=False RefNotPermitted'],
    },
    attached: { 'Gateway gw/http': 3 },
  },
  {
    name: 'parents that have no such section, port or host',
    yaml:
      gatewayOf('{name: http, port: $P1, protocol: HTTP, hostname: a.example}') +
      httpRoute('section', `  rules: [{${to('v1')}}]`, '[{name: gw, sectionName: none}]') +
      httpRoute('port', `  rules: [{${to('v1')}}]`, '[{name: gw, port: 9}]') +
      httpRoute('both', `  rules: [{${to('v1')}}]`, '[{name: gw, sectionName: http, port: 9}]') +
      httpRoute('good', `  rules: [{${to('v1')}}]`, '[{name: gw, sectionName: http}]') +
      httpRoute('host', `  hostnames: [b.example]\n  rules: [{${to('v1')}}]`),
    lines: {
      'HTTPRoute section>gw/none': ['Accepted=False NoMatchingParent'],
      'HTTPRoute port>gw': ['Accepted=False NoMatchingParent'],
      'HTTPRoute both>gw/http': ['Accepted=False NoMatchingParent'],
      'HTTPRoute good>gw/http': ['Accepted=True Accepted'],
      'HTTPRoute host>gw': ['Accepted=False NoMatchingListenerHostname'],
    },
    attached: { 'Gateway gw/http': 1 },
  },
  {
    name: 'routes of kinds or namespaces that the listener does not allow',
    yaml:
      gatewayOf(
        '{name: http, port: $P1, protocol: HTTP, allowedRoutes: {kinds: [{kind: GRPCRoute}]}}',
      ) +
      httpRoute('r', `  rules: [{${to('v1')}}]`) +
      httpRoute('far', `  rules: [{${to('v1')}}]`, '[{name: gw}]').replace(
        'namespace: $NS}\nspec:\n  parentRefs: [{name: gw}]',
        'namespace: $NS-far}\nspec:\n  parentRefs: [{name: gw, namespace: $NS}]',
      ),
    lines: {
      'HTTPRoute r>gw': ['Accepted=False NotAllowedByListeners'],
      'HTTPRoute far>gw': ['Accepted=False NotAllowedByListeners'],
      'Gateway gw/http': ['ResolvedRefs=True ResolvedRefs'],
    },
    attached: { 'Gateway gw/http': 0 },
    kinds: { 'Gateway gw/http': ['GRPCRoute'] },
  },
  {
    name: 'kinds that a listener cannot carry',
    yaml: gatewayOf(
      '{name: some, port: $P1, protocol: HTTP, allowedRoutes: {kinds: [{kind: InvalidRoute}, {kind: HTTPRoute}]}}, {name: none, port: $P2, protocol: HTTP, allowedRoutes: {kinds: [{kind: InvalidRoute}]}}',
    ),
    lines: {
      'Gateway gw/some': ['ResolvedRefs=False InvalidRouteKinds'],
      'Gateway gw/none': ['ResolvedRefs=False InvalidRouteKinds'],
    },
    kinds: { 'Gateway gw/some': ['HTTPRoute'], 'Gateway gw/none': [] },
  },
  {
    name: 'certificates that are missing, foreign, of another kind, or no certificates',
    yaml:
      gatewayOf(
        [
          'missing, port: $P1, hostname: a.x, protocol: HTTPS, tls: {certificateRefs: [{name: nowhere}]}',
          'foreign, port: $P1, hostname: b.x, protocol: HTTPS, tls: {certificateRefs: [{name: tls, namespace: $NS-far}]}',
          'kind, port: $P1, hostname: c.x, protocol: HTTPS, tls: {certificateRefs: [{group: wrong.group, kind: Secret, name: tls}]}',
          'broken, port: $P1, hostname: d.x, protocol: HTTPS, tls: {certificateRefs: [{name: broken}]}',
          'good, port: $P1, hostname: e.x, protocol: HTTPS, tls: {certificateRefs: [{name: tls}]}',
          'granted, port: $P1, hostname: f.x, protocol: HTTPS, tls: {certificateRefs: [{name: ok, namespace: $NS-far}]}',
        ]
          .map((text) => `{name: ${text}}`)
          .join(', '),
      ) +
      `$SECRETS---
apiVersion: gateway.networking.k8s.io/v1
kind: ReferenceGrant
metadata: {name: g, namespace: $NS-far}
spec:
  from: [{group: gateway.networking.k8s.io, kind: Gateway, namespace: $NS}]
  to: [{group: "", kind: Secret, name: ok}]
`,
    lines: {
      'Gateway gw/missing': [
        'ResolvedRefs=False InvalidCertificateRef',
        'Programmed=False Invalid',
      ],
      'Gateway gw/foreign': ['ResolvedRefs=False RefNotPermitted', 'Programmed=False Invalid'],
      'Gateway gw/kind': ['ResolvedRefs=False InvalidCertificateRef'],
      'Gateway gw/broken': ['ResolvedRefs=False InvalidCertificateRef'],
      'Gateway gw/good': ['ResolvedRefs=True ResolvedRefs', 'Programmed=True Programmed'],
      'Gateway gw/granted': ['ResolvedRefs=True ResolvedRefs', 'Programmed=True Programmed'],
    },
  },
  {
    name: 'listeners that conflict in protocol',
    yaml: gatewayOf('{name: c, port: $P2, protocol: HTTP}, {name: d, port: $P2, protocol: TCP}'),
    lines: {
      'Gateway gw/c': ['Conflicted=True ProtocolConflict'],
      'Gateway gw/d': ['Conflicted=True ProtocolConflict'],
      'Gateway gw': ['Accepted=False ListenersNotValid'],
    },
  },
  {
    name: 'a protocol that nobody knows, beside a listener in order',
    yaml: gatewayOf(`${HTTP}, {name: odd, port: $P2, protocol: example.com/odd}`),
    lines: {
      'Gateway gw': ['Accepted=True ListenersNotValid', 'Programmed=True Programmed'],
      'Gateway gw/odd': ['Accepted=False UnsupportedProtocol', 'Programmed=False Invalid'],
      'Gateway gw/http': ['Accepted=True Accepted', 'Programmed=True Programmed'],
    },
    kinds: { 'Gateway gw/odd': [] },
  },
  {
    name: 'parameters that do not exist',
    yaml: gatewayOf(
      HTTP,
      '  infrastructure: {parametersRef: {group: x.example, kind: Thing, name: t}}\n',
    ),
    lines: { 'Gateway gw': ['Accepted=False InvalidParameters'] },
  },
  {
    name: 'TCPRoutes want TCP listeners, TLSRoutes TLS listeners with their hosts',
    yaml:
      gatewayOf(`${HTTP}, {name: tcp, port: $P2, protocol: TCP}`) +
      streamRoute(
        'TCPRoute',
        '{parentRefs: [{name: gw, sectionName: http}, {name: gw, sectionName: tcp}], rules: [{backendRefs: [{name: nowhere, port: 1}]}]}',
      ) +
      streamRoute(
        'TLSRoute',
        '{parentRefs: [{name: gw, sectionName: http}], hostnames: [a.x], rules: [{backendRefs: [{name: v1, port: 8080}]}]}',
      ),
    lines: {
      'TCPRoute r>gw/http': ['Accepted=False NotAllowedByListeners'],
      'TCPRoute r>gw/tcp': ['Accepted=True Accepted', 'ResolvedRefs=False BackendNotFound'],
      'TLSRoute r>gw/http': ['Accepted=False NotAllowedByListeners'],
    },
    kinds: { 'Gateway gw/tcp': ['TCPRoute'] },
    attached: { 'Gateway gw/tcp': 1, 'Gateway gw/http': 0 },
  },
  {
    name: 'listener sets: not allowed by default, allowed by namespace',
    yaml: `${gatewayOf(HTTP)}---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set, namespace: $NS}
spec: {parentRef: {name: gw}, listeners: [{name: more, port: $P2, protocol: HTTP}]}
`,
    lines: {
      'ListenerSet set': ['Accepted=False NotAllowed', 'Programmed=False NotAllowed'],
      'Gateway gw': ['Programmed=True Programmed'],
    },
  },
  {
    name: 'listener sets that are allowed serve their routes',
    yaml: `${gatewayOf(HTTP, '  allowedListeners: {namespaces: {from: Same}}\n')}---
apiVersion: gateway.networking.k8s.io/v1
kind: ListenerSet
metadata: {name: set, namespace: $NS}
spec: {parentRef: {name: gw}, listeners: [{name: more, port: $P2, protocol: HTTP}, {name: taken, port: $P1, protocol: TCP}]}
${httpRoute('r', `  rules: [{${to('v1')}}]`, '[{kind: ListenerSet, name: set}]')}`,
    lines: {
      'ListenerSet set': ['Accepted=True ListenersNotValid', 'Programmed=True Programmed'],
      'ListenerSet set/more': ['Accepted=True Accepted', 'Programmed=True Programmed'],
      'ListenerSet set/taken': [
        'Conflicted=True ProtocolConflict',
        'Programmed=False ProtocolConflict',
      ],
      'HTTPRoute r>set': ['Accepted=True Accepted'],
      'Gateway gw/http': ['Conflicted=False NoConflicts'],
    },
    attached: { 'ListenerSet set/more': 1, 'Gateway gw/http': 0 },
  },
  {
    name: 'policies for backend TLS: no such CA, and one that is in order',
    yaml: `${gatewayOf(HTTP)}${httpRoute('r', '  rules: [{backendRefs: [{name: v1, port: 8080}, {name: v2, port: 8080}]}]')}
$SECRETS---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: bad, namespace: $NS}
spec:
  targetRefs: [{group: "", kind: Service, name: v1}]
  validation: {hostname: a.x, caCertificateRefs: [{group: "", kind: ConfigMap, name: nowhere}]}
---
apiVersion: gateway.networking.k8s.io/v1
kind: BackendTLSPolicy
metadata: {name: odd, namespace: $NS}
spec:
  targetRefs: [{group: "", kind: Service, name: v2}]
  validation: {hostname: a.x, caCertificateRefs: [{group: x.example, kind: Thing, name: nowhere}]}
`,
    lines: {
      'BackendTLSPolicy bad': [
        'Accepted=False NoValidCACertificate',
        'ResolvedRefs=False InvalidCACertificateRef',
      ],
      'BackendTLSPolicy odd': [
        'Accepted=False NoValidCACertificate',
        'ResolvedRefs=False InvalidKind',
      ],
    },
  },
]

describe('status of Gateway API objects', () => {
  const ca = createTestCa()
  const { certPem, keyPem } = ca.issue({ dns: ['e.x'] })
  let mesh: Mesh
  before(async () => {
    mesh = await startMesh()
    mesh.write('class.yaml', gatewayClass)
    await mesh.startGateway('edge')
  })
  after(async () => {
    await mesh[Symbol.asyncDispose]()
  })

  const secrets = (namespace: string) => {
    const pair = { 'tls.crt': certPem, 'tls.key': keyPem }
    const far = `${namespace}-far`
    return [
      secretYaml('tls', namespace, pair),
      secretYaml('tls', far, pair),
      secretYaml('ok', far, pair),
      secretYaml('broken', namespace, { 'tls.crt': 'no', 'tls.key': 'no' }),
    ].join('')
  }

  for (const [index, { name, yaml, lines, attached = {}, kinds = {} }] of cases.entries()) {
    test(name, async () => {
      const namespace = `status-${index}`
      const open: OpenCase = { namespace, ports: { $P1: await freePort(), $P2: await freePort() } }
      const services = ['v1', 'v2'].map((service) =>
        serviceYaml(service, namespace, [{ name: 'http', port: 8080, to: [1] }]),
      )
      mesh.write(
        `${namespace}.yaml`,
        fill(services.join('') + yaml.replace('$SECRETS', secrets(namespace)), open),
      )
      await eventually(async () => {
        const { objects } = await mesh.status()
        const rows = objects.filter((row) => row.namespace.startsWith(namespace))
        for (const [what, wanted] of Object.entries(lines)) {
          const found = conditionLines(conditionsOf(rows, what))
          for (const line of wanted) assert.ok(found.includes(line), `${what}: ${found.join(', ')}`)
        }
        for (const [what, count] of Object.entries(attached)) {
          assert.equal(listenerOf(rows, what)?.attachedRoutes, count, what)
        }
        for (const [what, wanted] of Object.entries(kinds)) {
          const found = listenerOf(rows, what)?.supportedKinds.map(({ kind }) => kind)
          assert.deepEqual(found?.toSorted(), wanted.toSorted(), what)
        }
        assertGeneration(rows)
      }, 3_000)
    })
  }
})

function assertGeneration(rows: readonly ObjectRow[]): void {
  const gateway = rows.find(({ kind }) => kind === 'Gateway')
  for (const { observedGeneration } of gateway?.status?.conditions ?? []) {
    assert.equal(observedGeneration, 4)
  }
}

function objectOf(rows: readonly ObjectRow[], what: string): ObjectRow | undefined {
  const [kind, name] = what.split(/[ />]/)
  return rows.find((row) => row.kind === kind && row.name === name)
}

function listenerOf(rows: readonly ObjectRow[], what: string) {
  const [, listener] = what.split('/')
  return objectOf(rows, what)?.status?.listeners?.find(({ name }) => name === listener)
}

function conditionsOf(rows: readonly ObjectRow[], what: string) {
  const status = objectOf(rows, what)?.status
  if (what.includes('>')) {
    const [name, section] = (what.split('>')[1] ?? '').split('/')
    return status?.parents?.find(
      ({ parentRef }) => parentRef.name === name && parentRef.sectionName === section,
    )?.conditions
  }
  if (what.includes('/')) return listenerOf(rows, what)?.conditions
  return status?.ancestors === undefined ? status?.conditions : status.ancestors[0]?.conditions
}
