/**
 * The page people see. Asks `details` and `reviews` at the same time and shows
 * what it got: when one of them fails, the rest of the page stays.
 */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import {
  type Answer,
  type Call,
  json,
  passedOn,
  portFromEnvironment,
  startApp,
  versionFromEnvironment,
} from './app.ts'
import { type Details, type Part, type Reviews, renderHome, renderProductPage } from './pages.ts'
import { sessionCookie, userOf, withoutSession } from './session.ts'

const detailsUrl = process.env.DETAILS_URL ?? 'http://details:9080'
const reviewsUrl = process.env.REVIEWS_URL ?? 'http://reviews:9080'
const ratingsUrl = process.env.RATINGS_URL ?? 'http://ratings:9080'
/** Longer than the tour's 7 s delay, so that only the mesh's timeout can save the page. */
const TIMEOUT_MS = 20_000

const PRODUCTS = [
  {
    id: 0,
    title: 'The Comedy of Errors',
    descriptionHtml: 'Two pairs of twins, one town, one day: Shakespeare’s shortest play.',
  },
]

const STATIC_TYPES: Readonly<Record<string, string>> = {
  css: 'text/css; charset=utf-8',
  svg: 'image/svg+xml',
}

startApp({
  service: 'productpage',
  version: versionFromEnvironment(),
  port: portFromEnvironment(),
  routes: [
    { method: 'GET', path: /^\/health$/, answer: () => ({ body: 'Product page is healthy\n' }) },
    { method: 'GET', path: /^\/(?:index\.html)?$/, answer: () => html(renderHome()) },
    { method: 'GET', path: /^\/productpage$/, answer: productPage },
    { method: 'POST', path: /^\/login$/, answer: login },
    { method: 'GET', path: /^\/logout$/, answer: () => seeProductPage(withoutSession()) },
    { method: 'GET', path: /^\/static\/([\w-]+)\.(css|svg)$/, answer: staticFile },
    { method: 'GET', path: /^\/api\/v1\/products$/, answer: () => json(PRODUCTS) },
    {
      method: 'GET',
      path: /^\/api\/v1\/products\/(\d+)$/,
      answer: (call, [id]) => forward(call, `${detailsUrl}/details/${id}`),
    },
    {
      method: 'GET',
      path: /^\/api\/v1\/products\/(\d+)\/reviews$/,
      answer: (call, [id]) => forward(call, `${reviewsUrl}/reviews/${id}`),
    },
    {
      method: 'GET',
      path: /^\/api\/v1\/products\/(\d+)\/ratings$/,
      answer: (call, [id]) => forward(call, `${ratingsUrl}/ratings/${id}`),
    },
  ],
})

async function productPage(call: Call): Promise<Answer> {
  const [details, reviews] = await Promise.all([
    ask<Details>(call, `${detailsUrl}/details/0`),
    ask<Reviews>(call, `${reviewsUrl}/reviews/0`),
  ])
  const product = PRODUCTS[0]
  return html(renderProductPage({ product, details, reviews, user: userOf(call.headers.cookie) }))
}

/** What another service says, with its status; the caller's identity goes along. */
async function ask<T>(call: Call, url: string): Promise<Part<T>> {
  try {
    const response = await fetch(url, {
      headers: headersFor(call),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    })
    if (!response.ok) return { status: response.status }
    return { status: response.status, value: (await response.json()) as T }
  } catch {
    return { status: 503 }
  }
}

async function forward(call: Call, url: string): Promise<Answer> {
  const part = await ask<unknown>(call, url)
  const failure = { error: 'Sorry, this is currently unavailable.' }
  return json(part.value ?? failure, part.status)
}

/** A logged-in user becomes the header that routing rules can look at. */
function headersFor(call: Call): Record<string, string> {
  const user = userOf(call.headers.cookie)
  return { ...passedOn(call), ...(user === undefined ? {} : { 'end-user': user }) }
}

function login(call: Call): Answer {
  const user = new URLSearchParams(call.body).get('username') ?? ''
  if (!/^[\w.@-]{1,64}$/.test(user)) {
    return { status: 400, headers: { 'content-type': 'text/plain' }, body: 'a user name, please\n' }
  }
  return seeProductPage(sessionCookie(user))
}

function seeProductPage(cookie: string): Answer {
  return { status: 302, headers: { location: '/productpage', 'set-cookie': cookie }, body: '' }
}

async function staticFile(_call: Call, [name, type]: readonly string[]): Promise<Answer> {
  try {
    const body = await readFile(join(import.meta.dirname, 'static', `${name}.${type}`))
    return { headers: { 'content-type': STATIC_TYPES[type ?? ''] ?? 'text/plain' }, body }
  } catch {
    return { status: 404, body: 'not found\n' }
  }
}

function html(body: string): Answer {
  return { headers: { 'content-type': 'text/html; charset=utf-8' }, body }
}
