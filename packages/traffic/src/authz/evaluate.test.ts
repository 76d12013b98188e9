import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { HeaderMatch, Permission, Principal, StringMatch } from '@weft/model'
import fc from 'fast-check'
import { ANY, callerWith, permits, rulesOf } from './authz-fixture.ts'
import type { Caller } from './caller.ts'
import { compileRbac, decideRbac, explainRbac } from './evaluate.ts'

const exact = (value: string): StringMatch => ({ kind: 'exact', value, ignoreCase: false })
const header = (name: string, value: HeaderMatch['value']): Permission => ({
  kind: 'header',
  match: { name, value, invert: false },
})
const decide = (rules: Parameters<typeof compileRbac>[0], caller: Caller) =>
  decideRbac(compileRbac(rules), caller)
const GET = header(':method', exact('GET'))
const web: Principal = {
  kind: 'authenticated',
  name: exact('spiffe://cluster.local/ns/shop/sa/web'),
}

describe('rules', () => {
  test('R56: an empty ALLOW lets nothing pass, an empty DENY everything', () => {
    assert.equal(decide(rulesOf('allow'), callerWith()).allowed, false)
    assert.equal(decide(rulesOf('deny'), callerWith()).allowed, true)
  })

  test('ALLOW lets pass what one policy matches, and names it', () => {
    const rules = rulesOf('allow', [header(':method', exact('PUT')), ANY], [GET, web])
    assert.deepEqual(decide(rules, callerWith()), { allowed: true, policy: 'p1' })
    const nobody = { allowed: false, policy: undefined }
    assert.deepEqual(decide(rules, callerWith({}, { method: 'POST' })), nobody)
  })

  test('DENY refuses what one policy matches, and names it', () => {
    const rules = rulesOf('deny', [GET, web])
    assert.deepEqual(decide(rules, callerWith()), { allowed: false, policy: 'p0' })
    assert.equal(decide(rules, callerWith({}, { method: 'PUT' })).allowed, true)
  })

  test('LOG refuses nothing, and names what matches', () => {
    const rules = rulesOf('log', [GET, web])
    assert.deepEqual(decide(rules, callerWith()), { allowed: true, policy: 'p0' })
  })

  test('a policy needs a permission and a principal', () => {
    const stranger: Principal = { kind: 'authenticated', name: exact('spiffe://other/a') }
    assert.equal(decide(rulesOf('allow', [GET, stranger]), callerWith()).allowed, false)
  })
})

describe('who has no certificate', () => {
  const plaintext = callerWith({ principals: undefined })

  test('is no principal, not even one of the empty name', () => {
    for (const value of [exact(''), { kind: 'regex', value: '.*' } as const]) {
      const rules = rulesOf('allow', [ANY, { kind: 'authenticated', name: value }])
      assert.equal(decide(rules, plaintext).allowed, false)
    }
    assert.equal(
      decide(rulesOf('allow', [ANY, { kind: 'authenticated' }]), plaintext).allowed,
      false,
    )
  })

  test('is refused by "everybody but"', () => {
    const rules = rulesOf('deny', [ANY, { kind: 'not', of: web }])
    assert.equal(decide(rules, plaintext).allowed, false)
    assert.equal(decide(rules, callerWith()).allowed, true)
  })
})

const paths: readonly [string, Permission, string, boolean][] = [
  ['R51: a query is no part of the path', { kind: 'path', value: exact('/a') }, '/a?b=/c', true],
  [
    'R51: a suffix is not found in a query',
    { kind: 'path', value: { kind: 'suffix', value: '/x', ignoreCase: false } },
    '/a?/x',
    false,
  ],
  [
    'R52: a regex is for the whole path',
    { kind: 'path', value: { kind: 'regex', value: '/a' } },
    '/ab',
    false,
  ],
  ['paths have case', { kind: 'path', value: exact('/A') }, '/a', false],
  ['{*} is one segment', { kind: 'pathTemplate', template: '/a/{*}/c' }, '/a/b/c', true],
  ['{*} is not two segments', { kind: 'pathTemplate', template: '/a/{*}/c' }, '/a/b/b/c', false],
  ['{*} is not nothing', { kind: 'pathTemplate', template: '/a/{*}' }, '/a/', false],
  ['{**} is any number of segments', { kind: 'pathTemplate', template: '/a/{**}' }, '/a/b/c', true],
  ['{**} may be nothing', { kind: 'pathTemplate', template: '/a/{**}' }, '/a/', true],
  [
    '{**} needs what is around it',
    { kind: 'pathTemplate', template: '/a/{**}/z' },
    '/a/b/c',
    false,
  ],
  ['dots of a template are dots', { kind: 'pathTemplate', template: '/a.b/{*}' }, '/axb/c', false],
]

describe('paths', () => {
  for (const [what, permission, path, expected] of paths) {
    test(what, () => assert.equal(permits(permission, callerWith({}, { path })), expected))
  }

  for (const template of [
    'a/{*}',
    '/a{*}',
    '/{*}b',
    '/{**}/{*}',
    '/{**}/{**}',
    '/{a}',
    '/{',
    '/*',
    '/a}',
  ]) {
    test(`the template ${template} is refused`, () => {
      assert.throws(
        () => permits({ kind: 'pathTemplate', template }, callerWith()),
        /path template/,
      )
    })
  }
})

const hosts: readonly [string, string, boolean][] = [
  ['shop.example', 'shop.example', true],
  ['shop.example', 'SHOP.example', true],
  ['shop.example', 'shop.example.', true],
  ['shop.example', 'shop.example:8080', true],
  ['shop.example', 'shop.example.:80', true],
  ['shop.example:8080', 'shop.example:8080', true],
  ['shop.example:8080', 'shop.example', false],
  ['shop.example', 'evil.example', false],
  ['::1', '[::1]', false],
  ['[::1]', '[::1]:80', true],
]

describe('R49: hosts are compared by what they mean', () => {
  for (const [rule, host, expected] of hosts) {
    test(`${rule} ${expected ? 'is' : 'is not'} ${host}`, () => {
      assert.equal(permits(header(':authority', exact(rule)), callerWith({}, { host })), expected)
    })
  }
})

test('R50: methods have case', () => {
  assert.equal(permits(GET, callerWith({}, { method: 'get' })), false)
})

describe('R53: of several values of a header the reading that refuses wins', () => {
  const admin = header('x-role', exact('admin'))
  const both = callerWith({}, { headers: { 'x-role': ['user', 'admin'] } })
  const not = (of: Permission): Permission => ({ kind: 'not', of })
  const table: readonly [string, 'allow' | 'deny', Permission][] = [
    ['ALLOW admin', 'allow', admin],
    ['ALLOW all but admin', 'allow', not(admin)],
    ['DENY admin', 'deny', admin],
    ['DENY all but admin', 'deny', not(admin)],
    [
      'ALLOW inverted',
      'allow',
      { kind: 'header', match: { name: 'x-role', value: exact('admin'), invert: true } },
    ],
    [
      'DENY inverted',
      'deny',
      { kind: 'header', match: { name: 'x-role', value: exact('admin'), invert: true } },
    ],
  ]
  for (const [what, action, permission] of table) {
    test(`${what} refuses user and admin together`, () => {
      assert.equal(decide(rulesOf(action, [permission, ANY]), both).allowed, false)
    })
  }

  test('values are not joined', () => {
    const joined = callerWith({}, { headers: { 'x-role': ['admin', 'admin'] } })
    assert.equal(permits(admin, joined), true)
    assert.equal(permits(header('x-role', exact('user,admin')), both), false)
  })

  test('a header that is absent matches nothing', () => {
    assert.equal(permits(admin, callerWith()), false)
    assert.equal(permits(header('x-role', { kind: 'present' }), callerWith()), false)
    assert.equal(permits(not(header('x-role', { kind: 'present' })), callerWith()), true)
  })
})

describe('claims', () => {
  const token = (payload: Readonly<Record<string, unknown>>) =>
    callerWith({}, { tokens: [{ issuer: 'https://issuer', payload }] })
  const claim = (path: readonly string[], value: string): Permission => ({
    kind: 'claim',
    path,
    value: exact(value),
  })

  test('are texts or lists of them, however deep', () => {
    assert.equal(permits(claim(['sub'], 'ann'), token({ sub: 'ann' })), true)
    assert.equal(permits(claim(['groups'], 'b'), token({ groups: ['a', 'b'] })), true)
    assert.equal(permits(claim(['a', 'b'], 'c'), token({ a: { b: 'c' } })), true)
    assert.equal(permits(claim(['a', 'b'], 'c'), token({ a: 'c' })), false)
    assert.equal(permits(claim(['n'], '1'), token({ n: 1 })), false)
  })

  test('of a prototype are none (R81)', () => {
    const payload = token({})
    for (const name of ['constructor', '__proto__', 'toString']) {
      const present: Permission = { kind: 'claim', path: [name], value: { kind: 'present' } }
      assert.equal(permits(present, payload), false)
    }
  })

  test('of another issuer do not count', () => {
    const permission: Permission = {
      kind: 'claim',
      issuer: 'https://other',
      path: ['sub'],
      value: exact('ann'),
    }
    assert.equal(permits(permission, token({ sub: 'ann' })), false)
  })
})

describe('connections', () => {
  const { request: _request, ...connection } = callerWith()

  test('are judged by addresses, port, server name and principal', () => {
    const shop = { ...connection, serverName: 'Shop.Example' }
    assert.equal(permits({ kind: 'destinationPort', from: 8000, to: 9000 }, shop), true)
    assert.equal(permits({ kind: 'destinationPort', from: 1, to: 80 }, shop), false)
    assert.equal(permits({ kind: 'destinationIp', range: '10.0.0.0/24' }, shop), true)
    assert.equal(permits({ kind: 'serverName', value: exact('shop.example') }, shop), true)
    assert.equal(permits({ kind: 'serverName', value: exact('shop.example') }, connection), false)
    const inside: Principal = { kind: 'sourceIp', range: '10.0.0.0/8' }
    const outside: Principal = { kind: 'remoteIp', range: '10.0.0.0/8' }
    assert.equal(decide(rulesOf('allow', [ANY, inside]), shop).allowed, true)
    assert.equal(decide(rulesOf('allow', [ANY, outside]), shop).allowed, false)
  })

  test('without a request satisfy no rule about one', () => {
    for (const permission of [GET, { kind: 'path', value: exact('/') } as const]) {
      assert.equal(permits(permission, connection), false)
    }
  })

  test('with a bad range in a rule are refused by name', () => {
    assert.throws(
      () => permits({ kind: 'destinationIp', range: '10.0.0.0/40' }, connection),
      /policy "p0": .*a range/,
    )
  })
})

describe('an explanation', () => {
  test('says what each policy lacks', () => {
    const rules = compileRbac(rulesOf('allow', [GET, web], [header(':method', exact('PUT')), ANY]))
    const traces = explainRbac(rules, callerWith({ principals: undefined }, { method: 'GET' }))
    assert.deepEqual(
      traces.map(({ matched, predicates }) => [
        matched,
        predicates.filter((each) => !each.matched),
      ]),
      [
        [
          false,
          [
            {
              rule: 'principal is "spiffe://cluster.local/ns/shop/sa/web"',
              found: 'no certificate',
              matched: false,
            },
          ],
        ],
        [false, [{ rule: 'method is "PUT"', found: '"GET"', matched: false }]],
      ],
    )
  })

  test('looks through groups and negations', () => {
    const permission: Permission = {
      kind: 'allOf',
      of: [GET, { kind: 'not', of: { kind: 'path', value: exact('/admin') } }],
    }
    const [trace] = explainRbac(
      compileRbac(rulesOf('allow', [permission, ANY])),
      callerWith({}, { path: '/admin' }),
    )
    assert.deepEqual(trace?.predicates[0], {
      rule: 'not: path is "/admin"',
      found: '"/admin"',
      matched: false,
    })
  })
})

describe('any tree of predicates', () => {
  const leaves: readonly [Permission, boolean][] = [
    [ANY, true],
    [GET, true],
    [header(':method', exact('PUT')), false],
    [{ kind: 'destinationPort', from: 8080, to: 8080 }, true],
    [{ kind: 'path', value: exact('/nowhere') }, false],
  ]
  interface Tree {
    readonly permission: Permission
    readonly value: boolean
  }
  const { tree } = fc.letrec<{ tree: Tree }>((tie) => ({
    tree: fc.oneof(
      { maxDepth: 5 },
      fc.constantFrom(...leaves).map(([permission, value]) => ({ permission, value })),
      tie('tree').map((of) => ({
        permission: { kind: 'not', of: of.permission } as const,
        value: !of.value,
      })),
      fc.array(tie('tree'), { maxLength: 4 }).map((of) => ({
        permission: { kind: 'allOf', of: of.map((each) => each.permission) } as const,
        value: of.every((each) => each.value),
      })),
      fc.array(tie('tree'), { maxLength: 4 }).map((of) => ({
        permission: { kind: 'oneOf', of: of.map((each) => each.permission) } as const,
        value: of.some((each) => each.value),
      })),
    ),
  }))

  test('is decided as logic says, and the explanation agrees', () => {
    fc.assert(
      fc.property(tree, fc.constantFrom('allow' as const, 'deny' as const), (made, action) => {
        const rules = compileRbac(rulesOf(action, [made.permission, ANY]))
        const caller = callerWith()
        assert.equal(decideRbac(rules, caller).allowed, (action === 'allow') === made.value)
        assert.equal(explainRbac(rules, caller)[0]?.matched, made.value)
      }),
      { numRuns: 500 },
    )
  })
})

describe('R48: who cuts path parameters off and who does not are both heeded', () => {
  const path = (value: string): Permission => ({
    kind: 'path',
    value: value.endsWith('*')
      ? { kind: 'prefix', value: value.slice(0, -1), ignoreCase: false }
      : exact(value),
  })
  const table: readonly [string, 'allow' | 'deny', string, boolean][] = [
    ['/admin;v=1', 'deny', '/admin', false],
    ['/admin;v=1/users', 'deny', '/admin/*', false],
    ['/open;/../admin', 'deny', '/admin', false],
    ['/open/..;/admin', 'deny', '/admin', false],
    ['/.;/admin', 'deny', '/admin', false],
    ['/;/admin', 'deny', '/admin', false],
    ['/;a/;b/admin;c', 'deny', '/admin', false],
    ['/open?next=/admin;v=1', 'deny', '/admin', true],
    ['/admin?;', 'deny', '/admin', false],
    ['/open;v=1', 'deny', '/admin', true],
    ['/open;v=1', 'allow', '/open', false],
    ['/open/item;v=1', 'allow', '/open/*', true],
    ['/open/..;/admin', 'allow', '/open/*', false],
    ['/open;admin', 'allow', '/open;*', false],
  ]
  for (const [asked, action, rule, expected] of table) {
    test(`${action.toUpperCase()} ${rule} ${expected ? 'lets' : 'does not let'} ${asked} pass`, () => {
      const rules = compileRbac(rulesOf(action, [path(rule), ANY]))
      const caller = callerWith({}, { path: asked })
      const { allowed, policy } = decideRbac(rules, caller)
      assert.equal(allowed, expected)
      const matched = explainRbac(rules, caller).find((trace) => trace.matched)
      assert.equal(matched?.policy, policy, 'the explanation is of the same reading')
    })
  }
})
