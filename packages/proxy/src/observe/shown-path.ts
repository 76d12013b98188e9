/** A request's path as logs may have it: a token in its query (RFC 6750, section 2.3) is not shown. */

const TOKEN = /([?&]access(?:_|%5f)token=)[^&#]*/gi

export function shownPath(path: string): string {
  // Nearly every path has none; this costs less than the expression.
  return path.includes('token=') ? path.replaceAll(TOKEN, '$1[redacted]') : path
}
