import type { ResourceFiles, ResourceSinkDeps } from '../client/ads-client.ts'

export async function openResourceFiles(
  _path: string,
  _deps: ResourceSinkDeps,
): Promise<ResourceFiles> {
  throw new Error('Cannot read resource files: not implemented')
}
