/**
 * Who may import whom, bottom row first. The one statement of the rule:
 * `check-layers.ts` holds every package.json to it, and Biome's
 * `noUndeclaredDependencies` holds every import to its package.json.
 */

const nouns = ['base', 'model']
const wired = [...nouns, 'wire', 'net', 'telemetry']
const platform = ['intercept', 'bpf', 'wasm', 'plugin', 'identity', 'ffi']

export const mayImport: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],

  wire: nouns,
  traffic: nouns,
  config: nouns,

  net: [...nouns, 'wire'],
  ffi: ['base'],
  telemetry: [...nouns, 'net'],
  identity: wired,
  xds: wired,

  rsocket: [...nouns, 'wire', 'traffic'],

  plugin: nouns,
  wasm: nouns,
  bpf: ['base', 'net', 'ffi'],
  intercept: ['base', 'net', 'ffi', 'bpf'],
  kube: [...nouns, 'net'],

  proxy: [...wired, ...platform, 'traffic', 'xds'],
  broker: [...wired, ...platform, 'traffic', 'xds', 'rsocket'],
  proxyless: [...wired, 'traffic', 'identity', 'xds', 'plugin', 'wasm', 'rsocket'],
  control: [...wired, 'traffic', 'config', 'identity', 'xds', 'kube'],

  console: [...nouns, 'config'],
  cli: [
    ...wired,
    ...platform,
    'traffic',
    'config',
    'xds',
    'rsocket',
    'kube',
    'proxy',
    'broker',
    'proxyless',
    'control',
    'console',
  ],

  testkit: wired,
}
