/** A provider of MeshConfig → the filter that asks it, where a CUSTOM policy matched before. */
import type { ExternalAuthorization, HttpFilterConfig, RbacRules } from '@weft/model'
import type { AuthorizationProvider } from '../../snapshot/authorization-providers.ts'

const RBAC = 'envoy.filters.http.rbac'
/** Istio's: what the shadow rules leave behind, and what their policies begin with. */
const STAT_PREFIX = 'istio_ext_authz_'
const POLICY_KEY = `${STAT_PREFIX}shadow_effective_policy_id`

/** Stands before the names of the policies that ask a provider. */
export function customPrefix(provider: string): string {
  return `istio-ext-authz-${provider}-`
}

/** @param rules When the provider is asked. */
export function askProvider(
  provider: AuthorizationProvider,
  cluster: { readonly name: string; readonly host: string },
  rules: RbacRules,
): readonly HttpFilterConfig[] {
  return [
    { kind: 'rbac', shadowRules: rules, shadowStatPrefix: STAT_PREFIX },
    { kind: 'extAuthz', authorization: authorizationBy(provider, cluster) },
  ]
}

function authorizationBy(
  provider: AuthorizationProvider,
  { name: cluster, host }: { readonly name: string; readonly host: string },
): ExternalAuthorization {
  const { requestHeaders, requestBody } = provider
  return {
    service:
      provider.kind === 'grpc'
        ? { kind: 'grpc', cluster, authority: host }
        : {
            kind: 'http',
            cluster,
            uri: `http://${host}`,
            pathPrefix: provider.pathPrefix,
            extraHeaders: provider.extraHeaders,
            upstreamHeaders: provider.upstreamHeaders,
            appendedUpstreamHeaders: [],
            clientHeaders: provider.clientHeaders,
            clientHeadersOnSuccess: provider.clientHeadersOnSuccess,
          },
    timeoutMs: provider.timeoutMs,
    failureModeAllow: provider.failOpen,
    failureModeHeader: false,
    statusOnError: provider.statusOnError,
    hiddenRequestHeaders: [],
    includePeerCertificate: false,
    metadataNamespaces: [],
    clearRouteCache: provider.clearRouteCache,
    condition: {
      filter: RBAC,
      path: [POLICY_KEY],
      // Up to the namespace: the name of one provider may begin another's.
      value: { kind: 'prefix', value: `${customPrefix(provider.name)}ns[`, ignoreCase: false },
      invert: false,
    },
    ...(requestHeaders.length === 0 ? {} : { requestHeaders }),
    ...(requestBody === undefined ? {} : { requestBody }),
  }
}
