/**
 * Where an Envoy has its own identity from: not from the control plane, which never sees the key, but
 * by SDS from an agent beside it, through a static cluster of its bootstrap (Istio's names). A Weft
 * proxy has them in itself and asks nobody.
 */
import {
  ApiConfigSource_ApiType,
  ApiVersion,
  type ConfigSource,
  type ConfigSourceSchema,
} from '../gen/envoy/config/core/v3/config_source_pb.js'
import { encodeDuration, type Init } from './values.ts'

/** The certificate, and whom it trusts. */
export const OWN_SECRETS: readonly string[] = ['default', 'ROOTCA']
const CLUSTER = 'sds-grpc'

/** The same bytes everywhere: Envoy keys its subscriptions by them (envoy#47309). */
export const FROM_AGENT: Init<typeof ConfigSourceSchema> = {
  resourceApiVersion: ApiVersion.V3,
  // An agent that has no certificate yet says nothing; a listener without one would refuse everybody.
  initialFetchTimeout: encodeDuration(0),
  configSourceSpecifier: {
    case: 'apiConfigSource',
    value: {
      apiType: ApiConfigSource_ApiType.GRPC,
      transportApiVersion: ApiVersion.V3,
      setNodeOnFirstMessageOnly: true,
      grpcServices: [{ targetSpecifier: { case: 'envoyGrpc', value: { clusterName: CLUSTER } } }],
    },
  },
}

export function isFromAgent(source: ConfigSource | undefined): boolean {
  const specifier = source?.configSourceSpecifier
  if (specifier?.case !== 'apiConfigSource') return false
  const [service, ...more] = specifier.value.grpcServices
  const target = service?.targetSpecifier
  return more.length === 0 && target?.case === 'envoyGrpc' && target.value.clusterName === CLUSTER
}
