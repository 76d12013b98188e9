/** Authorization of requests ⇄ `envoy.filters.http.rbac`. */
import { RBACSchema } from '../../gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js'
import { decodeHttpRbac, encodeHttpRbac } from '../rbac.ts'
import { packAny, unpackAny } from '../values.ts'
import { type HttpFilterCodec, refuseDisabled } from './filter-codec.ts'

export const rbac: HttpFilterCodec<'rbac'> = {
  name: 'envoy.filters.http.rbac',
  encode: (config) => [{ value: packAny(RBACSchema, encodeHttpRbac(config)) }],
  decode(any, disabled, path, problems) {
    const proto = unpackAny(any, RBACSchema)
    if (proto === undefined) return undefined
    refuseDisabled(disabled, path, problems)
    return { kind: 'rbac', ...decodeHttpRbac(proto, path, problems) }
  },
}
