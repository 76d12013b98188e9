/** `sessionPersistence` of route rules and of XBackendTrafficPolicy. */

import {
  defaulted,
  type Infer,
  object,
  oneOfValues,
  required,
  string,
  withRules,
} from '../schema/schema.ts'
import { gatewayDuration, headerName } from './gateway-api-common.ts'

/** The fields of v1.6 and before (`sessionName`, `cookieConfig`), and those that follow them (`cookie`, `header`). */
export const sessionPersistence = withRules(
  object({
    sessionName: string({ maxLength: 128 }),
    absoluteTimeout: gatewayDuration,
    idleTimeout: gatewayDuration,
    type: defaulted(oneOfValues('Cookie', 'Header'), 'Cookie'),
    cookieConfig: object({
      lifetimeType: defaulted(oneOfValues('Permanent', 'Session'), 'Session'),
    }),
    cookie: object({
      name: headerName,
      path: defaulted(string({ maxLength: 1024 }), '/'),
      lifetimeType: defaulted(oneOfValues('Permanent', 'Session'), 'Session'),
    }),
    header: object({ name: required(headerName) }),
  }),
  {
    cel: "!has(self.cookie) || self.cookie.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
    message: 'is required for a cookie with lifetimeType Permanent',
    field: 'absoluteTimeout',
  },
  {
    cel: "!has(self.cookieConfig) || self.cookieConfig.lifetimeType != 'Permanent' || has(self.absoluteTimeout)",
    message: 'is required for a cookie with lifetimeType Permanent',
    field: 'absoluteTimeout',
  },
  {
    cel: "!has(self.cookie) || self.type == 'Cookie'",
    message: 'belongs to type Cookie; remove it or set that type',
    field: 'cookie',
  },
  {
    cel: "!has(self.header) || self.type == 'Header'",
    message: 'belongs to type Header; remove it or set that type',
    field: 'header',
  },
  {
    cel: "!has(self.cookieConfig) || self.type == 'Cookie'",
    message: 'belongs to type Cookie; remove it or set that type',
    field: 'cookieConfig',
  },
)

export type GatewaySessionPersistence = Infer<typeof sessionPersistence>
