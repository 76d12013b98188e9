/**
 * Listeners for gRPC programs that are their own proxy: a client gets an `api_listener` by the name
 * that it dials (gRFC A27), a server one by the address that it listens on (gRFC A36). What they do
 * not know makes them refuse the whole, so there is nothing but what they need.
 */
import { create, toBinary } from '@bufbuild/protobuf'
import { AnySchema } from '@bufbuild/protobuf/wkt'
import type { FilterChain, HttpConnectionManager, Listener } from '@weft/model'
import type { FilterChainSchema } from '../gen/envoy/config/listener/v3/listener_components_pb.js'
import type { ListenerSchema } from '../gen/envoy/config/listener/v3/listener_pb.js'
import { HttpConnectionManagerSchema } from '../gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js'
import { field } from '../wire/protobuf.ts'
import { encodeFilters } from './http-filters/catalog.ts'
import { encodeRouteTable } from './route-table.ts'
import { encodeDownstreamTls } from './tls.ts'
import { type EncodeOptions, encodeAddress, FROM_ADS, type Init, packAny } from './values.ts'

export function encodeProxyless(
  { name, address, filterChains, proxyless }: Listener,
  options: EncodeOptions,
): Init<typeof ListenerSchema> {
  if (proxyless === 'server') {
    const chains = filterChains.map((chain) => encodeServerChain(chain))
    return { name, address: encodeAddress(address), filterChains: chains }
  }
  const [chain] = filterChains
  if (chain?.filter.kind !== 'http') throw new Error(`Cannot encode ${name}: it must speak HTTP`)
  const any = packAny(HttpConnectionManagerSchema, clientManager(chain.filter, options))
  // ApiListener { google.protobuf.Any api_listener = 1 }
  return { name, apiListener: field(1, toBinary(AnySchema, create(AnySchema, any))) }
}

function clientManager(
  { statPrefix, routes, filters }: HttpConnectionManager,
  options: EncodeOptions,
): Init<typeof HttpConnectionManagerSchema> {
  return {
    statPrefix,
    httpFilters: encodeFilters(filters),
    routeSpecifier:
      routes.kind === 'rds'
        ? { case: 'rds', value: { routeConfigName: routes.name, configSource: FROM_ADS } }
        : { case: 'routeConfig', value: encodeRouteTable(routes.table, options) },
  }
}

function encodeServerChain({ name, tls, filter }: FilterChain): Init<typeof FilterChainSchema> {
  const filters = filter.kind === 'http' ? filter.filters : []
  const manager: Init<typeof HttpConnectionManagerSchema> = {
    statPrefix: name,
    httpFilters: encodeFilters(filters),
    routeSpecifier: {
      case: 'routeConfig',
      value: {
        name,
        virtualHosts: [
          {
            name,
            domains: ['*'],
            routes: [
              {
                match: { pathSpecifier: { case: 'prefix', value: '' } },
                // The program itself answers. The message has no fields.
                action: { case: 'nonForwardingAction', value: new Uint8Array() },
              },
            ],
          },
        ],
      },
    },
  }
  const value = packAny(HttpConnectionManagerSchema, manager)
  return {
    name,
    filters: [{ name: 'http', configType: { case: 'typedConfig', value } }],
    ...(tls === undefined ? {} : { transportSocket: encodeDownstreamTls(tls) }),
  }
}
