/**
 * The messages that Weft's code reads and writes. Code is generated for these only, because each
 * proxy has to load it: everything that Envoy has would cost a sidecar 20 MB and 60 ms.
 *
 * A field of another message type stays, as bytes: it can be seen that it is set, its name can be
 * told, and it is passed on unharmed. `a.{B,C}` stands for `a.B` and `a.C`. To use one more
 * message, add it here; TypeScript then shows its fields.
 */
import { expand } from './expand.mjs'

const BRACED = `
envoy.config.accesslog.v3.{AccessLog,AccessLogFilter,AndFilter,ComparisonFilter,DurationFilter,GrpcStatusFilter,HeaderFilter,LogTypeFilter,NotHealthCheckFilter,OrFilter,ResponseFlagFilter,StatusCodeFilter}
envoy.config.cluster.v3.{CircuitBreakers,CircuitBreakers.Thresholds,CircuitBreakers.Thresholds.RetryBudget,OutlierDetection,UpstreamConnectionOptions}
envoy.config.cluster.v3.{Cluster,Cluster.CommonLbConfig,Cluster.CommonLbConfig.LocalityWeightedLbConfig,Cluster.CustomClusterType,Cluster.EdsClusterConfig,Cluster.LeastRequestLbConfig,Cluster.MaglevLbConfig,Cluster.RingHashLbConfig}
envoy.config.cluster.v3.{Cluster.CommonLbConfig.ZoneAwareLbConfig,Cluster.RoundRobinLbConfig,Cluster.SlowStartConfig,Cluster.TransportSocketMatch}
envoy.config.core.v3.{Address,CidrRange,Pipe,SocketAddress,TcpKeepalive}
envoy.config.core.v3.{DataSource,HeaderValue,HeaderValueOption,Locality,Metadata,Node,RuntimeFractionalPercent,TransportSocket}
envoy.config.core.v3.{AggregatedConfigSource,ApiConfigSource,ConfigSource,SelfConfigSource,SubstitutionFormatString}
envoy.config.core.v3.{Http1ProtocolOptions,Http1ProtocolOptions.HeaderKeyFormat,Http1ProtocolOptions.HeaderKeyFormat.ProperCaseWords,Http2ProtocolOptions,HttpProtocolOptions,KeepaliveSettings,ProxyProtocolConfig,ProxyProtocolPassThroughTLVs,TlvEntry,RuntimeDouble}
envoy.config.core.v3.{HealthCheck,HealthCheck.GrpcHealthCheck,HealthCheck.HttpHealthCheck,HealthCheck.Payload,HealthCheck.TcpHealthCheck}
envoy.config.endpoint.v3.{ClusterLoadAssignment,ClusterLoadAssignment.Policy,Endpoint,LbEndpoint,LocalityLbEndpoints}
envoy.config.listener.v3.{Filter,FilterChain,FilterChainMatch,Listener,ListenerFilter}
envoy.config.route.v3.{DirectResponseAction,HeaderMatcher,QueryParameterMatcher,RedirectAction,RetryPolicy,RetryPolicy.RateLimitedRetryBackOff,RetryPolicy.ResetHeader,RetryPolicy.RetryBackOff,RetryPolicy.RetryHostPredicate,Route,RouteConfiguration,VirtualHost,WeightedCluster,WeightedCluster.ClusterWeight}
envoy.config.route.v3.{RouteAction,RouteAction.HashPolicy,RouteAction.HashPolicy.ConnectionProperties,RouteAction.HashPolicy.Cookie,RouteAction.HashPolicy.Header,RouteAction.HashPolicy.QueryParameter,RouteAction.RequestMirrorPolicy,RouteAction.UpgradeConfig,RouteAction.UpgradeConfig.ConnectConfig}
envoy.config.route.v3.{HedgePolicy,RouteAction.MaxStreamDuration}
envoy.config.route.v3.{RouteMatch,RouteMatch.ConnectMatcher}
envoy.extensions.access_loggers.{file.v3.FileAccessLog,stream.v3.StdoutAccessLog,stream.v3.StderrAccessLog}
envoy.extensions.clusters.dynamic_forward_proxy.v3.ClusterConfig
envoy.extensions.common.dynamic_forward_proxy.v3.DnsCacheConfig
envoy.extensions.filters.common.fault.v3.FaultDelay
envoy.extensions.filters.http.{cors.v3.Cors,cors.v3.CorsPolicy,fault.v3.FaultAbort,fault.v3.HTTPFault,grpc_stats.v3.FilterConfig,router.v3.Router}
envoy.extensions.filters.listener.{http_inspector.v3.HttpInspector,proxy_protocol.v3.ProxyProtocol,proxy_protocol.v3.ProxyProtocol.Rule,proxy_protocol.v3.ProxyProtocol.KeyValuePair,original_dst.v3.OriginalDst,tls_inspector.v3.TlsInspector}
envoy.extensions.filters.network.http_connection_manager.v3.{HttpConnectionManager,HttpConnectionManager.HcmAccessLogOptions,HttpConnectionManager.SetCurrentClientCertDetails,HttpConnectionManager.UpgradeConfig,HttpFilter,Rds}
envoy.extensions.filters.network.tcp_proxy.v3.{TcpProxy,TcpProxy.TcpAccessLogOptions,TcpProxy.WeightedCluster,TcpProxy.WeightedCluster.ClusterWeight}
envoy.config.core.v3.{GrpcService,GrpcService.EnvoyGrpc,RuntimeDouble,RuntimeFeatureFlag,RuntimePercent,RuntimeUInt32,TypedExtensionConfig}
envoy.config.ratelimit.v3.RateLimitServiceConfig
envoy.config.route.v3.{FilterConfig,RateLimit,RateLimit.Action,RateLimit.Action.DestinationCluster,RateLimit.Action.GenericKey,RateLimit.Action.HeaderValueMatch,RateLimit.Action.MetaData,RateLimit.Action.DynamicMetaData,RateLimit.HitsAddend,RateLimit.Action.MaskedRemoteAddress,RateLimit.Action.QueryParameterValueMatch,RateLimit.Action.QueryParameters,RateLimit.Action.RemoteAddress,RateLimit.Action.RemoteAddressMatch,RateLimit.Override,RateLimit.Override.DynamicMetadata,RateLimit.Override.RateLimitOverride,RateLimit.Action.RequestHeaders,RateLimit.Action.SourceCluster}
envoy.extensions.common.ratelimit.v3.{LocalRateLimitDescriptor,RateLimitDescriptor,RateLimitDescriptor.Entry,RateLimitDescriptor.RateLimitOverride}
envoy.extensions.compression.{brotli.compressor.v3.Brotli,gzip.compressor.v3.Gzip,zstd.compressor.v3.Zstd}
envoy.extensions.filters.http.adaptive_concurrency.v3.{AdaptiveConcurrency,GradientControllerConfig,GradientControllerConfig.ConcurrencyLimitCalculationParams,GradientControllerConfig.MinimumRTTCalculationParams}
envoy.extensions.filters.http.{buffer.v3.Buffer,buffer.v3.BufferPerRoute,csrf.v3.CsrfPolicy,grpc_web.v3.GrpcWeb,local_ratelimit.v3.LocalRateLimit,ratelimit.v3.RateLimit,ratelimit.v3.RateLimitPerRoute}
envoy.extensions.filters.http.compressor.v3.{Compressor,Compressor.CommonDirectionConfig,Compressor.ResponseDirectionConfig,CompressorOverrides,CompressorPerRoute,ResponseDirectionOverrides}
envoy.extensions.filters.http.stateful_session.v3.{StatefulSession,StatefulSessionPerRoute}
envoy.extensions.http.header_formatters.preserve_case.v3.PreserveCaseFormatterConfig
envoy.extensions.http.stateful_session.{cookie.v3.CookieBasedSessionState,header.v3.HeaderBasedSessionState}
envoy.extensions.rate_limit_descriptors.expr.v3.Descriptor
envoy.config.rbac.v3.{Permission,Permission.Set,Policy,Principal,Principal.Authenticated,Principal.Set,RBAC}
envoy.extensions.filters.{http,network}.rbac.v3.RBAC
envoy.extensions.path.match.uri_template.v3.UriTemplateMatchConfig
envoy.type.v3.Int32Range
envoy.type.matcher.v3.{ListMatcher,MetadataMatcher,MetadataMatcher.PathSegment,OrMatcher,PathMatcher,ValueMatcher}
envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate
envoy.extensions.transport_sockets.proxy_protocol.v3.ProxyProtocolUpstreamTransport
envoy.extensions.transport_sockets.raw_buffer.v3.RawBuffer
envoy.extensions.transport_sockets.tls.v3.{CertificateProviderPluginInstance,CertificateValidationContext,CommonTlsContext,CommonTlsContext.CombinedCertificateValidationContext,DownstreamTlsContext,SdsSecretConfig,Secret,SubjectAltNameMatcher,TlsCertificate,TlsParameters,SPIFFECertValidatorConfig,SPIFFECertValidatorConfig.TrustDomain,UpstreamTlsContext}
envoy.extensions.upstreams.http.v3.{HttpProtocolOptions,HttpProtocolOptions.AutoHttpConfig,HttpProtocolOptions.ExplicitHttpConfig,HttpProtocolOptions.UseDownstreamHttpConfig}
envoy.service.discovery.v3.{DeltaDiscoveryRequest,DeltaDiscoveryResponse,DiscoveryRequest,DiscoveryResponse,Resource}
envoy.admin.v3.UpdateFailureState
envoy.config.endpoint.v3.{ClusterStats,UpstreamLocalityStats}
envoy.service.load_stats.v3.{LoadStatsRequest,LoadStatsResponse}
envoy.service.ratelimit.v3.{RateLimitRequest,RateLimitResponse,RateLimitResponse.DescriptorStatus,RateLimitResponse.RateLimit}
envoy.service.status.v3.{ClientConfig,ClientConfig.GenericXdsConfig,ClientStatusRequest,ClientStatusResponse}
envoy.extensions.filters.http.jwt_authn.v3.{JwtAuthentication,JwtClaimToHeader,JwtHeader,JwtProvider,JwtProvider.NormalizePayload,JwtCacheConfig,JwtRequirement,JwtRequirementAndList,JwtRequirementOrList,JwksAsyncFetch,PerRouteConfig,ProviderWithAudiences,RemoteJwks,RequirementRule}
envoy.extensions.filters.http.ext_authz.v3.{AuthorizationRequest,AuthorizationResponse,BufferSettings,CheckSettings,ExtAuthz,ExtAuthzPerRoute,HttpService}
envoy.service.auth.v3.{AttributeContext,AttributeContext.HttpRequest,AttributeContext.Peer,AttributeContext.Request,CheckRequest,CheckResponse,DeniedHttpResponse,OkHttpResponse}
envoy.config.core.v3.{HttpUri,QueryParameter}
envoy.type.matcher.v3.{ListStringMatcher,MetadataMatcher,MetadataMatcher.PathSegment,ValueMatcher}
envoy.type.matcher.v3.{AddressMatcher,NodeMatcher}
xds.core.v3.CidrRange
envoy.type.matcher.v3.{RegexMatchAndSubstitute,RegexMatcher,StringMatcher}
envoy.type.http.v3.Cookie
envoy.type.metadata.v3.{MetadataKey,MetadataKey.PathSegment}
envoy.type.v3.{HashPolicy,HashPolicy.SourceIp}
envoy.config.core.v3.UpstreamHttpProtocolOptions
envoy.type.v3.{FractionalPercent,HttpStatus,Int64Range,Percent,TokenBucket}
google.rpc.Status
`

export const KEPT_MESSAGES = new Set(BRACED.trim().split('\n').flatMap(expand))
