export { detectProtocol, type FirstBytes } from './detect.ts'
export {
  ascii,
  COMMA,
  CR,
  equalsIgnoreCase,
  LF,
  latin1,
} from './http1/bytes.ts'
export { ChunkedDecoder, mayForwardTrailer } from './http1/chunked.ts'
export { FIELD, hashName, knownId } from './http1/field-names.ts'
export {
  lowerText,
  MessageHead,
  SPAN,
  someElement,
  type TargetForm,
} from './http1/message-head.ts'
export { OutBuffer, type Piece, pieceOf } from './http1/out-buffer.ts'
export { parseRequestHead } from './http1/parse-request.ts'
export { parseResponseHead } from './http1/parse-response.ts'
export { PROBLEM, problemStatus, problemText } from './http1/problem.ts'
export {
  H2_ERROR,
  type HeadTarget,
  type Http2Counters,
  type Http2Handler,
  type Http2Memory,
  type Http2Options,
  type Http2SessionApi,
  newHttp2Counters,
} from './http2/contract.ts'
export { Http2Session } from './http2/session.ts'
export type { Http2Stream, StreamBytes } from './http2/stream.ts'
export type { ProxyAddresses, ProxyTlv } from './proxy-protocol/header.ts'
export { parseProxyHeader, renderProxyHeader } from './proxy-protocol/proxy-protocol.ts'
export {
  ALIBABA_ID,
  type BinaryRouting,
  type GsvRoute,
  gsvHash,
  gsvServiceKey,
  parseGsv,
  readBinaryRouting,
  renderBinaryRouting,
} from './rsocket/alibaba.ts'
export {
  type CompositeEntry,
  CompositeReader,
  readComposite,
  renderComposite,
} from './rsocket/composite-metadata.ts'
export { EVENT_MIME, HELLO_MIME, readConnectionEvent } from './rsocket/connection-event.ts'
export {
  errorMessage,
  keepaliveData,
  type Lease,
  readLease,
  readSetup,
  renderKeepalive,
  renderLease,
  renderMetadataPush,
  renderSetup,
  type Setup,
} from './rsocket/connection-frames.ts'
export { RSocketFrameReader, type RSocketFrameSink } from './rsocket/frame-reader.ts'
export {
  fragmentPayload,
  type RSocketPayload,
  renderCancel,
  renderError,
  renderPayload,
  renderRequest,
  renderRequestN,
} from './rsocket/frame-writer.ts'
export {
  FRAME_FLAG,
  FRAME_HEAD_BYTES,
  FRAME_TYPE,
  FrameView,
  type Interaction,
  interactionOf,
  LENGTH_PREFIX_BYTES,
  MAX_STREAM_ID,
  RSOCKET_ERROR,
  readFrame,
  readUint24,
  UNBOUNDED_REQUEST_N,
  writeUint24,
} from './rsocket/frames.ts'
export {
  HOP_ALLOWED,
  HOP_MIME,
  type Hop,
  type ReadHop,
  readHop,
  renderHop,
} from './rsocket/hop-entry.ts'
export {
  CHUNK_BYTES,
  HttpClientCall,
  HttpServerCall,
  openHttpServerCall,
} from './rsocket/http-call.ts'
export {
  HTTP_ENTRY_MIME,
  type HttpRequestEntry,
  type HttpResponseEntry,
  readHttpRequest,
  readHttpResponse,
  renderHttpRequest,
  renderHttpResponse,
} from './rsocket/http-entry.ts'
export {
  type RSocketCredentials,
  readAuthentication,
  readMimes,
  readRoutingTags,
  readZipkin,
  renderBearer,
  renderMimes,
  renderRoutingTags,
  type ZipkinTrace,
} from './rsocket/metadata-entries.ts'
export { COMPOSITE_MIME, METADATA_ID, mimeId } from './rsocket/mime-types.ts'
export { RSocketPeer, type RSocketPeerHandler, type RSocketPeerOptions } from './rsocket/peer.ts'
export { ABOVE_LEASE, NO_RESPONDER, RESPONDER_GONE } from './rsocket/refusals.ts'
export {
  isResumable,
  readResume,
  receivedPosition,
  renderResume,
  renderResumeOk,
} from './rsocket/resume-frames.ts'
export type { RSocketStream, RSocketStreamHandler } from './rsocket/stream.ts'
export {
  isRequesterOpen,
  isStreamOver,
  openStream,
  STEP_DROP,
  STEP_ITEM,
  stateOf,
  stepStream,
} from './rsocket/stream-state.ts'
export { type ClientHello, parseClientHello } from './tls/client-hello.ts'
export {
  renderWebSocketClose,
  renderWebSocketControl,
  webSocketHeadBytes,
  writeWebSocketHead,
} from './websocket/frame-head.ts'
export { readWebSocketHandshake, renderWebSocketAccept } from './websocket/handshake.ts'
export {
  WebSocketReader,
  type WebSocketSink,
  WS_CLOSE,
  WS_OPCODE,
} from './websocket/message-reader.ts'
