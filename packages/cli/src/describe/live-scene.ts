/** The objects in force of a running mesh, as documents with the lines that somebody wrote them in. */
import { type Document, parseDocuments } from '@weft/config'
import type { Origin } from '@weft/model'
import type { MeshApi } from '../mesh-api.ts'

export async function liveDocuments(api: MeshApi): Promise<readonly Document[]> {
  const objects = await api.objects()
  const origins = new Map<string, Origin>()
  const texts = objects.map(({ apiVersion, kind, metadata, spec, origin }) => {
    origins.set(`${kind} ${metadata.namespace}/${metadata.name}`, origin)
    // Kinds without a spec have what they say beside it.
    const body = BODILESS.includes(kind) ? (spec as object) : { spec }
    return JSON.stringify({ apiVersion, kind, metadata, ...body })
  })
  if (texts.length === 0) return []
  const { documents } = parseDocuments(texts.join('\n---\n'), { file: 'the running mesh' })
  return documents.map((document) => {
    const { kind, metadata } = document
    const origin = origins.get(`${kind} ${metadata.namespace}/${metadata.name}`)
    if (origin === undefined) return document
    return { ...document, origin, lineOf: () => origin.line ?? 0 }
  })
}

const BODILESS: readonly string[] = ['EndpointSlice', 'Endpoints', 'Secret', 'ConfigMap']
