/** A key of a JWK set (RFC 7517) as plain fields; who verifies with it reads it strictly. */
export type JsonWebKey = Readonly<Record<string, unknown>>
