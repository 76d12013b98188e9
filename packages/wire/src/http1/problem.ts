/**
 * Why a message was refused, as negative numbers so that a parser's one return
 * value is an offset, "more bytes" (0) or a problem.
 */

const PROBLEMS = [
  ['badRequestLine', 400, 'malformed request line'],
  ['badVersion', 400, 'HTTP version is not 1.0 or 1.1'],
  ['badTarget', 400, 'malformed request target'],
  ['targetTooLong', 414, 'request target is too long'],
  ['badField', 400, 'malformed header field'],
  ['headTooLarge', 431, 'message head is too large'],
  ['tooManyFields', 431, 'too many header fields'],
  ['badHost', 400, 'missing, repeated or malformed Host'],
  ['badContentLength', 400, 'repeated or malformed Content-Length'],
  ['badTransferEncoding', 400, 'repeated, misplaced or malformed Transfer-Encoding'],
  ['unknownTransferCoding', 501, 'transfer coding is not chunked'],
  ['lengthAndCoding', 400, 'Content-Length together with Transfer-Encoding'],
  ['unknownExpectation', 417, 'expectation is not 100-continue'],
  ['badStatusLine', 502, 'malformed status line'],
  ['badChunk', 400, 'malformed chunk'],
  ['chunkTooLarge', 400, 'chunk size is out of range'],
  ['chunkExtensionTooLong', 400, 'chunk extensions are too long'],
  ['badTrailer', 400, 'malformed trailer field'],
] as const

export type ProblemName = (typeof PROBLEMS)[number][0]

export const PROBLEM = Object.fromEntries(PROBLEMS.map(([name], i) => [name, -1 - i])) as {
  readonly [Name in ProblemName]: number
}

/** What a client that sent such a request is answered. */
export function problemStatus(problem: number): number {
  return PROBLEMS[-1 - problem]?.[1] ?? 400
}

/** For logs and answers; lower case, no period. */
export function problemText(problem: number): string {
  return PROBLEMS[-1 - problem]?.[2] ?? 'malformed message'
}
