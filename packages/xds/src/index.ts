/**
 * xDS v3 for both planes. Importing this package is cheap: the generated Envoy code (some 60
 * modules) is loaded by the first call that needs it, hence the promises.
 */

import type { Clock } from '@weft/base'
import type { CheckMessages } from './authorization/check-messages.ts'
import type { CertificateCall, CertificateReply } from './certificates/ask-certificate.ts'
import type { CertificateMessages } from './certificates/certificate-messages.ts'
import type {
  AdsClient,
  AdsClientDeps,
  AdsClientOptions,
  ResourceFiles,
  ResourceSinkDeps,
} from './client/ads-client.ts'
import type { ResourceCodec } from './codec/resource-codec.ts'
import type { IdentityMessages } from './identity-service/identity-messages.ts'
import type { AdsServer, AdsServerDeps, AdsServerOptions } from './server/ads-server.ts'
import type { WorkloadApi, WorkloadApiDeps } from './workload-api/open-workload-api.ts'
import type { WorkloadSource } from './workload-api/workload-source.ts'

export type { CheckAnswer, CheckMessages, CheckQuestion } from './authorization/check-messages.ts'
export type { CertificateCall, CertificateReply } from './certificates/ask-certificate.ts'
export type {
  CertificateMessages,
  CertificateQuestion,
} from './certificates/certificate-messages.ts'
export { IMPERSONATED_IDENTITY } from './certificates/impersonated-identity.ts'
export type {
  AdsClient,
  AdsClientDeps,
  AdsClientOptions,
  AdsClientState,
  AdsClientStats,
  Rejection,
  ResourceFiles,
  ResourceSinkDeps,
  ResourceUpdate,
  XdsCredentials,
  XdsSecurity,
} from './client/ads-client.ts'
export { CONTROL_PLANE_NAME } from './client/control-plane-name.ts'
export type { Decoded, ResourceCodec } from './codec/resource-codec.ts'
export type {
  BundleAcknowledgement,
  BundleNews,
  IdentityMessages,
  JwtQuestion,
} from './identity-service/identity-messages.ts'
export { type ClientKind, clientKind, type JsonValue, type XdsNode } from './node.ts'
export {
  RateLimitAsker,
  type SendQuestion,
  type ServiceQuestion,
} from './rate-limit/limit-asker.ts'
export type { RateLimitQuestion, RateLimitVerdict } from './rate-limit/rate-limit-messages.ts'
export { ServiceClient } from './rate-limit/service-client.ts'
export { referencesOf } from './references.ts'
export type {
  AdsServer,
  AdsServerDeps,
  AdsServerOptions,
  AdsServerStats,
  CertificateAnswer,
  ListenTarget,
  XdsPeer,
  XdsTls,
} from './server/ads-server.ts'
export type {
  Answer,
  ConnectionStatus,
  DeliveryState,
  ResourceDelivery,
  TypeDelivery,
} from './server/ads-status.ts'
export type { BundleWatch, IdentityService, JwtAnswer } from './server/identity-service.ts'
export type { LoadReport, LocalityLoad } from './server/load-reports.ts'
export { peerChain } from './server/peer.ts'
export type { Quarantined } from './server/quarantine.ts'
export { HEALTH_TYPE_URL, RESOURCE_TYPES, resourceTypeOf, TYPE_URLS } from './type-urls.ts'
export {
  FrameReader as GrpcFrameReader,
  frame as grpcFrame,
} from './wire/grpc-frames.ts'
export type { WorkloadApi, WorkloadApiDeps } from './workload-api/open-workload-api.ts'
export type {
  FetchedJwt,
  ValidatedJwt,
  WorkloadSource,
  WorkloadState,
} from './workload-api/workload-source.ts'

/** Model ⇄ Envoy protos ⇄ JSON. */
export async function loadCodec(): Promise<ResourceCodec> {
  return (await import('./codec/codec.ts')).codec
}

/** An ADS server that listens nowhere yet. */
export async function createAdsServer(
  options: AdsServerOptions,
  deps: AdsServerDeps,
): Promise<AdsServer> {
  return (await import('./server/open-ads-server.ts')).openAdsServer(options, deps)
}

/** Connects at once and keeps at it until closed; never throws, reports through `onState`. */
export async function createAdsClient(
  options: AdsClientOptions,
  deps: AdsClientDeps,
): Promise<AdsClient> {
  return (await import('./client/open-ads-client.ts')).openAdsClient(options, deps)
}

/**
 * Resources from files instead of a control plane: a `DiscoveryResponse` per file, as JSON
 * (`.json`), YAML (`.yaml`, `.yml`) or protobuf (`.pb`, `.binpb`). `path` is a file or a folder.
 * Resolves when the files were read once.
 */
export async function watchResourceFiles(
  path: string,
  deps: ResourceSinkDeps,
): Promise<ResourceFiles> {
  return (await import('./files/resource-files.ts')).openResourceFiles(path, deps)
}

/** Loaded when a route asks a service for authorization. */
export async function loadCheckMessages(): Promise<CheckMessages> {
  return await import('./authorization/check-messages.ts')
}

/** Loaded by whoever asks for a certificate. */
export async function loadCertificateMessages(): Promise<CertificateMessages> {
  return await import('./certificates/certificate-messages.ts')
}

/** One call of an authority. Never rejects: what goes wrong on the way is gRPC's UNAVAILABLE. */
export async function askCertificate(
  call: CertificateCall,
  clock: Clock,
): Promise<CertificateReply> {
  return (await import('./certificates/ask-certificate.ts')).askCertificate(call, clock)
}

/** As `loadCertificateMessages`, of the service for JWT-SVIDs and bundles. */
export async function loadIdentityMessages(): Promise<IdentityMessages> {
  return (await import('./identity-service/identity-messages.ts')).identityMessages
}

/** SPIFFE's Workload API and Envoy's SDS on a Unix socket, for one workload. */
export async function serveWorkload(
  path: string,
  source: WorkloadSource,
  deps: WorkloadApiDeps,
): Promise<WorkloadApi> {
  return (await import('./workload-api/open-workload-api.ts')).openWorkloadApi(path, source, deps)
}
