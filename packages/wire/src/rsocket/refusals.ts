/** Texts of ERROR frames by which the other end knows what to do, where the code alone does not say. */

/** REJECTED: whoever offers the service has no lease left, drains, or does not take its bytes. It may soon. */
export const NO_RESPONDER = 'WEFT-503 no responder can take the request'
/** REJECTED by a responder: the request came on no lease of its own. */
export const ABOVE_LEASE = 'WEFT-429 more requests than were leased'
/** CANCELED: the connection to the responder was lost, and it may have run: what is idempotent may be asked again. */
export const RESPONDER_GONE = 'WEFT-504 the responder is gone'
