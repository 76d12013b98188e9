/**
 * The gate: everything that must hold before a change lands, cheapest first;
 * stops at the first failure. Budget: 60 s on two cores.
 *
 *     npm run ok [-- STEP…]
 */
import { spawnSync } from 'node:child_process'

const steps: Readonly<Record<string, readonly string[]>> = {
  layers: ['node', 'tools/check-layers.ts'],
  files: ['node', 'tools/check-files.ts'],
  docs: ['node', 'tools/check-docs.ts'],
  lint: ['biome', 'check', '--error-on-warnings', '.'],
  types: ['tsc', '-p', '.'],
  unused: ['knip', '--no-progress'],
  test: ['node', 'tools/test.ts', 'unit'],
}

const wanted = process.argv.slice(2)
const unknown = wanted.find((name) => !(name in steps))
if (unknown !== undefined) {
  console.error(`Cannot run step '${unknown}': need one of ${Object.keys(steps).join(', ')}`)
  process.exit(2)
}
const startMs = performance.now()
for (const [name, [command = '', ...args]] of Object.entries(steps)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue
  const fromMs = performance.now()
  const { status } = spawnSync(command, args, { stdio: 'inherit' })
  const seconds = ((performance.now() - fromMs) / 1000).toFixed(1)
  if (status !== 0) {
    console.error(`✗ ${name} (${seconds} s): npm run ok stops here`)
    process.exit(1)
  }
  console.log(`✓ ${name} (${seconds} s)`)
}
console.log(`ok in ${((performance.now() - startMs) / 1000).toFixed(1)} s`)
