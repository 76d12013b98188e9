/** A `DiscoveryResponse` as JSON, YAML or protobuf → raw resources by type. */
import { readFileSync } from 'node:fs'
import {
  createFileRegistry,
  type DescMessage,
  fromBinary,
  fromJson,
  type JsonValue,
  type Registry,
} from '@bufbuild/protobuf'
import { type Any, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt'
import { contentHash } from '@weft/base'
import type { ResourceType } from '@weft/model'
import type { RawResource } from '../client/resource-store.ts'
import { codecTypes } from '../codec/codec.ts'
import { ClusterSchema } from '../gen/envoy/config/cluster/v3/cluster_pb.js'
import { ClusterLoadAssignmentSchema } from '../gen/envoy/config/endpoint/v3/endpoint_pb.js'
import { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.js'
import { RouteConfigurationSchema } from '../gen/envoy/config/route/v3/route_pb.js'
import { SecretSchema } from '../gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js'
import {
  DiscoveryResponseSchema,
  ResourceSchema,
} from '../gen/envoy/service/discovery/v3/discovery_pb.js'
import { resourceTypeOf } from '../type-urls.ts'

const RESOURCE_TYPE_URL = `type.googleapis.com/${ResourceSchema.typeName}`

export function isResourceFile(name: string): boolean {
  return /\.(json|ya?ml|pb|binpb)$/i.test(name) && !name.startsWith('.')
}

/** @throws When the content is no `DiscoveryResponse`, or holds a type that is not known. */
export async function parseResourceFile(
  name: string,
  content: Uint8Array,
): Promise<Map<ResourceType, RawResource[]>> {
  const resources = new Map<ResourceType, RawResource[]>()
  for (const any of (await readResponse(name, content)).resources) {
    const { typeUrl, value } = unwrap(any)
    const type = resourceTypeOf(typeUrl)
    if (type === undefined) throw new Error(`Cannot use ${name}: it holds ${typeUrl}`)
    const list = resources.get(type) ?? []
    list.push({ name: nameOf(type, value), version: contentHash(value), bytes: value })
    resources.set(type, list)
  }
  return resources
}

async function readResponse(name: string, content: Uint8Array) {
  if (/\.(pb|binpb)$/i.test(name)) return fromBinary(DiscoveryResponseSchema, content)
  const json = await parseText(name, Buffer.from(content).toString('utf8'))
  // An editor that truncates before it writes leaves an empty file for a moment.
  if (json === null) throw new Error(`Cannot use ${name}: it is empty`)
  try {
    return fromJson(DiscoveryResponseSchema, json, { registry: codecTypes() })
  } catch {
    // Wrong, or right but beyond what the codec knows: the whole of Envoy's types tells.
    return fromJson(DiscoveryResponseSchema, json, { registry: allTypes() })
  }
}

/** Loads YAML for YAML only: most proxies never read any. */
async function parseText(name: string, text: string): Promise<JsonValue> {
  if (/\.json$/i.test(name)) return JSON.parse(text)
  const { parse } = await import('yaml')
  return parse(text)
}

/** In state-of-the-world a resource may be wrapped to carry its name. */
function unwrap(any: Any): Any {
  if (any.typeUrl !== RESOURCE_TYPE_URL) return any
  const { resource } = fromBinary(ResourceSchema, any.value)
  if (resource === undefined) throw new Error('Cannot use a Resource without resource')
  return resource
}

const NAME_FIELDS: { readonly [T in ResourceType]: { schema: DescMessage; field: string } } = {
  listener: { schema: ListenerSchema, field: 'name' },
  route: { schema: RouteConfigurationSchema, field: 'name' },
  cluster: { schema: ClusterSchema, field: 'name' },
  endpoints: { schema: ClusterLoadAssignmentSchema, field: 'clusterName' },
  secret: { schema: SecretSchema, field: 'name' },
}

function nameOf(type: ResourceType, bytes: Uint8Array): string {
  const { schema, field } = NAME_FIELDS[type]
  const value: unknown = Reflect.get(fromBinary(schema, bytes), field)
  return typeof value === 'string' ? value : ''
}

/**
 * Every type that the protos know, because an `Any` in somebody's file may be any of them; what
 * we cannot honour is refused by name later. Some 80 ms and 20 MB, so it is built when a file
 * needs it, and the garbage collector may take it back.
 */
function allTypes(): Registry {
  const built = registry?.deref()
  if (built !== undefined) return built
  const path = new URL('../gen/descriptors.binpb', import.meta.url)
  const types = createFileRegistry(fromBinary(FileDescriptorSetSchema, readFileSync(path)))
  registry = new WeakRef(types)
  return types
}
let registry: WeakRef<Registry> | undefined
