export {
  Authority,
  type AuthorityFiles,
  createIntermediate,
  createRoot,
  type IssuedSvid,
  type Validity,
} from './ca/authority.ts'
export { type Certificate, readCertificate } from './x509/certificate.ts'
export {
  type CertificateRequest,
  type ReadRequest,
  readCertificateRequest,
} from './x509/certificate-request.ts'
export { readPem, writePem } from './x509/pem.ts'
export { type Roots, type VerifiedSvid, verifySvid } from './x509/verify-svid.ts'
