/** Joins the mesh over WebSocket, offers a service and calls one. */
import { connect } from './weft-rsocket.js'

const at = (id) => document.getElementById(id)
const { broker } = await (await fetch('settings.json')).json()

const client = await connect({
  brokers: broker,
  app: 'page',
  // Good for two minutes; asked for again before it ends, and shown on the link that there is.
  token: async () => (await fetch('token')).text(),
  services: {
    screen: {
      show(request) {
        at('shown').textContent = request.text()
        return { width: innerWidth, userAgent: navigator.userAgent }
      },
    },
  },
  onLinkChange: showLinks,
})
showLinks(client.status())

function showLinks({ links }) {
  const up = links.filter(({ isUp }) => isUp).length
  at('links').dataset.up = up
  at('links').textContent = up > 0 ? `connected to ${links[0].broker}` : 'not connected'
}

const quote = await client.requestResponse('prices', 'quote', { symbol: 'WEFT' })
at('quote').textContent = quote.json().price

for await (const tick of client.requestStream('prices', 'watch', { symbol: 'WEFT', count: 5 })) {
  at('ticks').textContent = tick.json().price
}
// So that whoever made the prices knows what has come.
await client.fireAndForget('prices', 'seen', {
  quote: at('quote').textContent,
  last: at('ticks').textContent,
})
