/** What the broker counts of itself, beside the calls; metrics read these. */
export class BrokerCounters {
  connectionsAccepted = 0
  connectionsRefused = 0
  tlsFailures = 0
  rejectedSetups = 0
  setupTimeouts = 0
  lifetimesOver = 0
  malformedFrames = 0
  keepaliveFloods = 0
  pushFloods = 0
  /** Streams that ended because their fragments added next to nothing. */
  shortFragments = 0
  slowPeers = 0
  /** Connections that were cut because their proof of identity was over. */
  identitiesOver = 0
  /** Times that a peer was not read from because its bytes waited. */
  pauses = 0
  /** Connections that ended with an ERROR of the peer. */
  peerErrors = 0
  /** Resumable connections that broke, and that came back in time. */
  carriersLost = 0
  carriersResumed = 0
  requests = 0
  /** Requests that went to another broker, and that came from one. */
  hopsOut = 0
  hopsIn = 0
  refusedRequests = 0
  retriedRequests = 0
  timedOutRequests = 0
  /** Fire-and-forget requests that nobody could be told of. */
  droppedRequests = 0
  itemsForwarded = 0
  /** Of all frames, with what frames them; sent by connections that are gone. */
  bytesReceived = 0
  bytesSent = 0
  /** Streams whose producer sent more than was asked for. */
  overruns = 0
}
