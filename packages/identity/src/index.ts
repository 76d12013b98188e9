export {
  abandon,
  advance,
  type BundleHolder,
  type BundleRoot,
  earliestStepMs,
  introduce,
  type RotationPolicy,
  steady,
  type TrustBundle,
  trustedRoots,
  type Waiting,
  waitingFor,
} from './bundle/rotation.ts'
export {
  readSpiffeBundle,
  renderJwtKeySet,
  renderSpiffeBundle,
  type SpiffeBundle,
} from './bundle/spiffe-bundle.ts'
export {
  Authority,
  type AuthorityFiles,
  createIntermediate,
  createRoot,
  type IssuedSvid,
  type Validity,
} from './ca/authority.ts'
export {
  type CaDeps,
  type CaPolicy,
  type CaState,
  type CaStore,
  CertificateAuthority,
  DEFAULT_CA_POLICY,
  type IssueOutcome,
  keyIdOf,
  type UpstreamRoot,
} from './ca/certificate-authority.ts'
export { isSealed, openSealedKey, sealKey } from './ca/sealed-key.ts'
export type { JsonWebKey } from './jwt/json-web-key.ts'
export { POSSESSION_PREFIX, PossessionProofs, provePossession } from './jwt/possession.ts'
export { type Lifetime, renewAtMs } from './workload/renewal.ts'
export { type Certificate, readCertificate } from './x509/certificate.ts'
export {
  type CertificateRequest,
  type ReadRequest,
  readCertificateRequest,
} from './x509/certificate-request.ts'
export { readPem, writePem } from './x509/pem.ts'
export { type Roots, type VerifiedSvid, verifySvid } from './x509/verify-svid.ts'
export { createCertificateRequest } from './x509/write-request.ts'
