/**
 * An identity as files, for what reads files: gRPC's `file_watcher` certificate provider, nginx, a
 * database. All of them change in one step (as Kubernetes mounts volumes):
 *
 *     DIR/cert-chain.pem → ..data/cert-chain.pem       names that readers open (Istio's)
 *     DIR/..data         → ..v1a2b3c                   replaced by a rename: the step
 *     DIR/..v1a2b3c/     cert-chain.pem, key.pem, …    never written to again
 */
import { lstat, mkdir, open, readdir, readlink, rename, rm, symlink } from 'node:fs/promises'
import { join } from 'node:path'
import { contentHash, type Logger } from '@weft/base'
import { renderSpiffeBundle } from '@weft/identity'
import type { HeldIdentity } from '../identity/workload-api/serve-identity.ts'
import { CERTIFICATE_FILES } from './certificate-file-names.ts'

const DATA = '..data'
const NEXT = '..data.next'
const VERSION = /^\.\.v[0-9a-f]+$/
const FOLDER_MODE = 0o700
const FILE_MODE = 0o600

export class CertificateFiles {
  readonly #folder: string
  readonly #log: Logger
  /** Changes come one after the other. */
  #writing: Promise<void> = Promise.resolve()

  constructor(folder: string, log: Logger) {
    this.#folder = folder
    this.#log = log
  }

  /** Resolves when the files are there, or when it was logged why not. */
  write(held: HeldIdentity): Promise<void> {
    this.#writing = this.#writing.then(async () => {
      try {
        await this.#replace(textsOf(held))
      } catch (error) {
        // A full disk: who reads the files goes on with what is there until it ends.
        this.#log.error('certificate files not written', { folder: this.#folder, error })
      }
    })
    return this.#writing
  }

  async #replace(texts: ReadonlyMap<string, string>): Promise<void> {
    const folder = this.#folder
    const version = `..v${contentHash(JSON.stringify([...texts]))}`
    await mkdir(folder, { recursive: true, mode: FOLDER_MODE })
    const current = await readlink(join(folder, DATA)).catch(() => undefined)
    if (current === version) return
    await rm(join(folder, version), { recursive: true, force: true })
    await mkdir(join(folder, version), { mode: FOLDER_MODE })
    for (const [name, text] of texts) await writeWhole(join(folder, version, name), text)
    await rm(join(folder, NEXT), { force: true })
    await symlink(version, join(folder, NEXT))
    await rename(join(folder, NEXT), join(folder, DATA))
    for (const name of texts.keys()) await linkOnce(join(folder, name), join(DATA, name))
    // The one before stays: somebody may be between opening its certificate and its key.
    for (const name of await readdir(folder)) {
      const isOld = VERSION.test(name) && name !== version && name !== current
      if (isOld) await rm(join(folder, name), { recursive: true, force: true })
    }
  }
}

function textsOf({ svid, bundles }: HeldIdentity): ReadonlyMap<string, string> {
  const documents = [...bundles].map(([name, bundle]) => [
    name,
    JSON.parse(renderSpiffeBundle(bundle)) as unknown,
  ])
  return new Map([
    [CERTIFICATE_FILES.chain, svid.chainPem],
    [CERTIFICATE_FILES.key, svid.keyPem],
    [CERTIFICATE_FILES.roots, svid.rootsPem],
    [
      CERTIFICATE_FILES.bundles,
      `${JSON.stringify({ trust_domains: Object.fromEntries(documents) }, undefined, 1)}\n`,
    ],
  ])
}

async function writeWhole(path: string, text: string): Promise<void> {
  await using file = await open(path, 'wx', FILE_MODE)
  await file.writeFile(text)
  await file.sync()
}

/** @throws {Error} When something else has the name: it is not ours to replace. */
async function linkOnce(path: string, target: string): Promise<void> {
  const known = await lstat(path).catch(() => undefined)
  if (known === undefined) return symlink(target, path)
  if (known.isSymbolicLink() && (await readlink(path)) === target) return
  throw new Error(`Cannot write ${path}: it must not be there, or be our link to ${target}`)
}
