import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type FilterChain, MATCH_ALL } from '@weft/model'
import { distinctChains } from './distinct-chains.ts'

function chain(
  name: string,
  destinationPrefixes: readonly string[],
  serverNames: readonly string[] = [],
): FilterChain {
  return {
    name,
    match: { ...MATCH_ALL, destinationPrefixes, serverNames },
    filter: {
      kind: 'tcp',
      statPrefix: name,
      targets: [{ cluster: 'c', weight: 1 }],
      idleTimeoutMs: 0,
      accessLogs: [],
    },
  }
}

const shown = (chains: readonly FilterChain[]) =>
  distinctChains(chains).map(
    ({ name, match }) =>
      `${name} [${match.destinationPrefixes.join(' ')}] [${match.serverNames.join(' ')}]`,
  )

test('chains that match different things stay, with names of their own', () => {
  assert.deepEqual(shown([chain('tcp', ['10.0.0.1']), chain('tcp', ['10.0.0.2'])]), [
    'tcp [10.0.0.1] []',
    'tcp-2 [10.0.0.2] []',
  ])
})

test('ranges that mean the same are one, however they are written', () => {
  assert.deepEqual(
    shown([
      chain('a', ['10.0.0.1', '10.0.0.1/32']),
      chain('b', ['10.0.0.1/32', '10.0.0.2']),
      chain('c', ['10.1.2.3/16']),
      chain('d', ['10.1.0.0/16']),
      chain('e', []),
      chain('f', []),
    ]),
    ['a [10.0.0.1/32] []', 'b [10.0.0.2] []', 'c [10.1.2.3/16] []', 'e [] []'],
  )
})

test('server names belong to the first that claims them, range by range', () => {
  assert.deepEqual(
    shown([
      chain('a', ['10.0.0.1'], ['x.com', 'X.com']),
      chain('b', ['10.0.0.1', '10.0.0.2'], ['x.com', 'y.com']),
      chain('c', [], ['x.com']),
      chain('d', ['10.0.0.2'], ['y.com']),
    ]),
    [
      'a [10.0.0.1] [x.com]',
      'b [10.0.0.1] [y.com]',
      'b-2 [10.0.0.2] [x.com y.com]',
      'c [] [x.com]',
    ],
  )
})
