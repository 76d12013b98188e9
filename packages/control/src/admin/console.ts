/** `/console…`: the page in a browser, and the sessions by which it is asked for. */

import { SESSION_MS } from './access/sessions.ts'
import {
  CONSOLE_CSP,
  CONSOLE_PAGE,
  CONSOLE_SCRIPT,
  CONSOLE_STYLE,
  SIGNED_OUT_PAGE,
} from './console-pages.ts'
import { type AdminAnswer, type AdminEndpoint, jsonAnswer } from './endpoint.ts'

const HTML = 'text/html; charset=utf-8'

export const consolePage: AdminEndpoint = {
  path: '/console',
  method: 'GET',
  access: 'authenticated',
  summary: 'the mesh in a browser; `weft dashboard` prints a link that signs in',
  answer: () => fileAnswer(CONSOLE_PAGE, HTML),
}

export const consoleScript: AdminEndpoint = {
  path: '/console/app.js',
  method: 'GET',
  access: 'authenticated',
  summary: 'its script',
  answer: () => fileAnswer(CONSOLE_SCRIPT, 'text/javascript; charset=utf-8'),
}

export const consoleStyle: AdminEndpoint = {
  path: '/console/style.css',
  method: 'GET',
  access: 'authenticated',
  summary: 'its style',
  answer: () => fileAnswer(CONSOLE_STYLE, 'text/css; charset=utf-8'),
}

export const consoleLink: AdminEndpoint = {
  path: '/v1/console-links',
  method: 'POST',
  access: 'authenticated',
  summary: 'a path that signs a browser in as you, once and for ten minutes',
  answer({ caller }, { operators }) {
    const { user, groups, proof, tokenId } = caller
    const { code, ttlMs } = operators.sessions.link({
      user,
      groups,
      proof,
      ...(tokenId === undefined ? {} : { tokenId }),
    })
    return jsonAnswer({ path: `/console/login?code=${code}`, ttlSeconds: ttlMs / 1_000 })
  },
}

/** The code is the proof: who brings none is nobody. */
export const consoleLogin: AdminEndpoint = {
  path: '/console/login',
  method: 'GET',
  access: 'code',
  summary: 'sign in with a link of /v1/console-links',
  answer({ query, method, cookieName, isTls, header }, { operators }) {
    // Whoever looks ahead (HEAD, a prefetch) must not use the link up.
    const isAhead = method === 'HEAD' || /prefetch|preview/i.test(header('sec-purpose') ?? '')
    const session = isAhead ? undefined : operators.sessions.redeem(query.get('code') ?? '')
    if (session === undefined) return signedOut()
    const attributes = ['Path=/', 'HttpOnly', 'SameSite=Strict', ...(isTls ? ['Secure'] : [])]
    const cookie = [`${cookieName}=${session}`, ...attributes, `Max-Age=${SESSION_MS / 1_000}`]
    return {
      status: 303,
      contentType: HTML,
      body: '',
      headers: { location: '/console', 'set-cookie': cookie.join('; ') },
    }
  },
}

export const consoleLogout: AdminEndpoint = {
  path: '/console/logout',
  method: 'POST',
  access: 'authenticated',
  summary: 'end the session',
  answer({ cookie, cookieName, isTls }, { operators }) {
    if (cookie !== undefined) operators.sessions.end(cookie)
    const secure = isTls ? '; Secure' : ''
    return {
      ...jsonAnswer({ signedOut: true }),
      headers: {
        'set-cookie': `${cookieName}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0${secure}`,
      },
    }
  },
}

/** For a browser that is nobody. */
export function signedOut(): AdminAnswer {
  return { ...fileAnswer(SIGNED_OUT_PAGE, HTML), status: 401 }
}

/** For a browser that opened the address which `weft up` and `weft demo` print. */
export function toConsole(): AdminAnswer {
  return { status: 303, contentType: HTML, body: '', headers: { location: '/console' } }
}

function fileAnswer(body: string, contentType: string): AdminAnswer {
  return { status: 200, contentType, body, headers: { 'content-security-policy': CONSOLE_CSP } }
}
