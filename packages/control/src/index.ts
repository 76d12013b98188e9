export type { AuditEntry } from './admin/access/audit-log.ts'
export type { OperatorTokenInfo } from './admin/access/operator-tokens.ts'
export type { OperatorOptions } from './admin/access/operators.ts'
export type { Grant, Identity, Role } from './admin/access/roles.ts'
export type { CaStatus } from './ca/ca-status.ts'
export { exportCaKeys } from './ca/export-keys.ts'
export { parseFederation } from './ca/federation/federation-options.ts'
export type { JoinTokenInfo } from './ca/join-tokens.ts'
export { isOwnCaFile } from './ca/own-ca-files.ts'
export { parseTokenIssuers } from './ca/token-issuers.ts'
export { type ControlPlane, type ControlPlaneOptions, startControlPlane } from './control-plane.ts'
export {
  findService,
  type MeshService,
  type PortProtocol,
  type Registry,
  type RegistryState,
  type ServiceInstance,
  type ServicePort,
} from './registries/registry.ts'
export { buildSnapshot, type SnapshotInput } from './snapshot/build.ts'
export { DEFAULT_MESH, type MeshSettings } from './snapshot/mesh-settings.ts'
export { type MeshSnapshot, objectKey } from './snapshot/mesh-snapshot.ts'
export { type MutualTlsDecision, mutualTlsDecision } from './snapshot/peer-authentications.ts'
export {
  type AppliedObject,
  type ApplyResult,
  applyFile,
  type DeleteResult,
  deleteObjects,
  type ObjectName,
} from './sources/files/apply.ts'
export type { Refusal, Source, SourceState } from './sources/source.ts'
export type { AppliedSummary, Condition, ObjectStatus } from './status/object-status.ts'
export { proxyViewOf } from './translate/node-view.ts'
export { type Capture, DEFAULT_PROXY, type ProxyView } from './translate/proxy-view.ts'
export { translate } from './translate/translate.ts'
