/** R69: what was acknowledged is there after a kill at any moment; what is there is whole. */
import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { parseDocuments } from '@weft/config'

const APPLY = fileURLToPath(new URL('apply.ts', import.meta.url))
const ROUNDS = 12
const OBJECTS = 4

/** Writes revision after revision of a few objects, and says of each when it is acknowledged. */
const WRITER = `
const { applyFile } = await import(process.argv[1])
const [, , folder, from] = process.argv
for (let revision = Number(from); ; revision++) {
  const name = 'o' + (revision % ${OBJECTS})
  const text = 'apiVersion: networking.istio.io/v1\\nkind: DestinationRule\\nmetadata: {name: ' + name +
    ', labels: {revision: "' + revision + '"}}\\nspec: {host: a}\\n'
  const { ok } = await applyFile(folder, text, 'in.yaml')
  if (ok) require('node:fs').writeSync(1, revision + '\\n')
}`

test('R69: no write that was acknowledged is lost, none is half, and revisions never go back', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'weft-crash-'))
  let acknowledged = 0
  try {
    for (let round = 0; round < ROUNDS; round++) {
      acknowledged = await writeAndKill(folder, acknowledged + 1, 3 + round)
      const kept = revisionsIn(folder)
      for (let back = 0; back < OBJECTS && acknowledged - back > 0; back++) {
        const wanted = acknowledged - back
        const found = kept.get(`o${wanted % OBJECTS}`) ?? 0
        // One more may have been written than was told.
        assert.ok(found >= wanted && found <= acknowledged + 1, `${found} for ${wanted}`)
      }
    }
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})

/** @returns The newest revision that was acknowledged before the kill. */
async function writeAndKill(folder: string, from: number, acks: number): Promise<number> {
  const args = ['--conditions=source', '--input-type=module-typescript', '--eval']
  const code = `import { createRequire } from 'node:module'; const require = createRequire('/'); ${WRITER}`
  const child = spawn(process.execPath, [...args, code, APPLY, folder, String(from)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let text = ''
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part
    // In the middle of whatever it does by now.
    if (text.split('\n').length > acks) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return Number(text.trimEnd().split('\n').at(-1))
}

function revisionsIn(folder: string): ReadonlyMap<string, number> {
  const kept = new Map<string, number>()
  // Names with a dot in front are no source's.
  for (const file of readdirSync(folder).filter((name) => !name.startsWith('.'))) {
    const { documents, problems } = parseDocuments(readFileSync(join(folder, file), 'utf8'), {
      file,
    })
    assert.deepEqual(problems, [])
    for (const document of documents) {
      if (document.type !== 'DestinationRule') continue
      kept.set(document.metadata.name, Number(document.metadata.labels.revision))
    }
  }
  return kept
}
