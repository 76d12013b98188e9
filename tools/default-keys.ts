/**
 * Key material written into code or configuration: whoever can read it could sign as somebody, or
 * verify for nobody. There must be none, as a default least of all (R62, CVE-2026-31837).
 */

const PATTERNS: readonly (readonly [string, RegExp])[] = [
  // The words alone are in whatever reads or writes PEM; a body follows only in real ones.
  ['PEM', /-----BEGIN [A-Z0-9 ]+-----(?:\s|\\[rn])*(?:[A-Za-z0-9+/]{24,}={0,2})/g],
  ['JWK', /["']?\b(?:n|x|y|d|k|p|q|dp|dq|qi)\b["']?\s*:\s*["'`][A-Za-z0-9_-]{22,}["'`]/g],
  ['JWT', /\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*/g],
  [
    'secret',
    /\b\w*(?:passphrase|password|hmac_?key|signing_?key|private_?key|secret_?key|client_?secret)\b["']?\s*[:=]\s*["'`][^"'`\s$]{8,}["'`]/gi,
  ],
]

/** What looks like a key, by kind, with its first characters. */
export function keysIn(text: string): readonly string[] {
  return PATTERNS.flatMap(([kind, pattern]) =>
    [...text.matchAll(pattern)].map(([found]) => `${kind}: ${found.slice(0, 60)}`),
  )
}
