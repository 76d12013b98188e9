/** The open listening sockets. */
import { renderAddress } from '@weft/model'
import { type AdminEndpoint, addressJson, jsonAnswer, textAnswer } from './endpoint.ts'

export const listeners: AdminEndpoint = {
  path: '/listeners',
  method: 'GET',
  summary: 'print listener info',
  parameters: { format: 'json or text (default)' },
  answer(request, proxy) {
    const open = proxy.listeners()
    if (request.query.get('format') === 'json') {
      return jsonAnswer({
        listener_statuses: open.map(({ name, address }) => ({
          name,
          local_address: addressJson(address),
        })),
      })
    }
    return textAnswer(
      open.map(({ name, address }) => `${name}::${renderAddress(address)}\n`).join(''),
    )
  },
}
