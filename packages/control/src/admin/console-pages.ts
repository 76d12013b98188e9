/**
 * The console in a browser: one page that shows the mesh as `weft status` does, and its script and
 * style as files of their own, because the page's policy (CSP) allows nothing inline. Everything that
 * comes from configuration is set as text, never as markup.
 */

export const CONSOLE_CSP = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'self'",
  "frame-ancestors 'none'",
].join('; ')

export const CONSOLE_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Weft</title>
<link rel="stylesheet" href="/console/style.css">
<script type="module" src="/console/app.js"></script>
</head>
<body>
<header>
<h1>Weft</h1>
<p id="who"></p>
<button id="sign-out" type="button">Sign out</button>
</header>
<main>
<p id="error" role="alert"></p>
<noscript><p role="alert">This page needs JavaScript. weft status shows the same in a terminal.</p></noscript>
<section aria-labelledby="problems-title">
<h2 id="problems-title">Problems</h2>
<table><thead><tr><th scope="col">Where</th><th scope="col">Severity</th><th scope="col">What</th></tr></thead><tbody id="problems"></tbody></table>
</section>
<section aria-labelledby="objects-title">
<h2 id="objects-title">Objects</h2>
<table><thead><tr><th scope="col">Object</th><th scope="col">State</th></tr></thead><tbody id="objects"></tbody></table>
</section>
<section aria-labelledby="proxies-title">
<h2 id="proxies-title">Proxies</h2>
<table><thead><tr><th scope="col">Proxy</th><th scope="col">Kind</th><th scope="col">State</th></tr></thead><tbody id="proxies"></tbody></table>
</section>
<section aria-labelledby="services-title">
<h2 id="services-title">Services</h2>
<table><thead><tr><th scope="col">Host</th><th scope="col">Endpoints</th><th scope="col">Healthy</th></tr></thead><tbody id="services"></tbody></table>
</section>
</main>
</body>
</html>
`

export const CONSOLE_SCRIPT = `const REFRESH_MS = 5000
const { setInterval: every } = window
const byId = (id) => document.getElementById(id)

async function get(path) {
  const answer = await fetch(path, { headers: { accept: 'application/json' } })
  const body = await answer.json()
  if (answer.ok) return body
  const hint = answer.status === 401 ? ' Run weft dashboard and open the link that it prints.' : ''
  throw new Error(body.error + hint)
}

function fill(id, rows, empty) {
  const width = byId(id).parentElement.querySelectorAll('th').length
  const lines = rows.map((cells) => {
    const row = document.createElement('tr')
    for (const text of cells) {
      const cell = document.createElement('td')
      cell.textContent = text
      row.append(cell)
    }
    return row
  })
  if (lines.length === 0) {
    const row = document.createElement('tr')
    const cell = document.createElement('td')
    cell.colSpan = width
    cell.textContent = empty
    row.append(cell)
    lines.push(row)
  }
  byId(id).replaceChildren(...lines)
}

function stateOf(proxy) {
  if (proxy.problem !== undefined) return proxy.problem
  const [first] = proxy.rejected
  if (first !== undefined) return 'refuses ' + first.resource + ': ' + first.message
  return proxy.isSynced ? 'has everything' : 'behind by ' + proxy.pending
}

async function show() {
  try {
    const [who, status, { proxies }, { services }] = await Promise.all([
      get('/v1/whoami'),
      get('/v1/status'),
      get('/v1/proxies'),
      get('/v1/services'),
    ])
    byId('who').textContent = who.user
    fill(
      'problems',
      status.problems.map((one) => [one.file + ':' + one.line, one.severity, one.message]),
      'None.',
    )
    fill(
      'objects',
      status.objects.map((one) => [one.kind + ' ' + one.namespace + '/' + one.name, one.summary]),
      'There are none that you may see.',
    )
    fill('proxies', proxies.map((one) => [one.name, one.kind, stateOf(one)]), 'None is connected.')
    fill(
      'services',
      services.map((one) => [one.host, String(one.endpoints), String(one.healthy)]),
      'There are none that you may see.',
    )
    byId('error').textContent = ''
  } catch (error) {
    byId('error').textContent = error.message
  }
}

byId('sign-out').addEventListener('click', async () => {
  const headers = { 'content-type': 'application/json' }
  const answer = await fetch('/console/logout', { method: 'POST', headers, body: '{}' })
  if (answer.ok) location.reload()
})
await show()
every(show, REFRESH_MS)
`

export const CONSOLE_STYLE = `:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { margin: 0 auto; max-width: 75rem; padding: 1rem; }
header { display: flex; gap: 1rem; align-items: baseline; }
header p { margin-left: auto; }
table { border-collapse: collapse; width: 100%; }
th, td { border-bottom: 1px solid; padding: 0.3rem 0.6rem; text-align: left; vertical-align: top; }
td { overflow-wrap: anywhere; }
#error:not(:empty) { border: 2px solid; padding: 0.5rem; font-weight: bold; }
`

/** For who comes without a session. */
export const SIGNED_OUT_PAGE = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Weft: signed out</title>
</head>
<body>
<main>
<h1>Nobody is signed in here</h1>
<p role="alert">To sign in, run <code>weft dashboard</code> (or <code>npx weft dashboard</code>) and open the link that it prints.</p>
<p>A link is good once and for ten minutes. On the control plane's own machine nothing else is needed; on others say who you are with <code>--control URL --token-file FILE</code>.</p>
</main>
</body>
</html>
`
