/** Every endpoint with its parameters. */
import { type AdminEndpoint, textAnswer } from './endpoint.ts'

/** @param others The rest of the catalog: a list cannot import the list it is in. */
export function createHelp(others: () => readonly AdminEndpoint[]): AdminEndpoint {
  return {
    path: '/help',
    method: 'GET',
    summary: 'print out list of admin commands',
    parameters: {},
    answer() {
      const endpoints = [...others()].sort((a, b) => (a.path < b.path ? -1 : 1))
      return textAnswer(`admin commands are:\n${endpoints.map(renderEndpoint).join('')}`)
    },
  }
}

function renderEndpoint(endpoint: AdminEndpoint): string {
  const method = endpoint.method === 'POST' ? ' (POST)' : ''
  const parameters = Object.entries(endpoint.parameters).map(
    ([name, meaning]) => `      ${name}: ${meaning}\n`,
  )
  return `  ${endpoint.path}${method}: ${endpoint.summary}\n${parameters.join('')}`
}
