/** The field of a certificate request's metadata by which Istio's CA knows whom a delegate asks for. */
export const IMPERSONATED_IDENTITY = 'ImpersonatedIdentity'
