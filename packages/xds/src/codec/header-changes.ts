/**
 * Header changes ⇄ Envoy's `*_headers_to_add` and `*_headers_to_remove`.
 *
 * Envoy formats values: `%REQ(x)%` is a command there. The model's values are literal, so a
 * percent sign is doubled on the way out, and a command on the way in is refused.
 */
import type { HeaderChanges, HeaderValue } from '@weft/model'
import {
  HeaderValueOption_HeaderAppendAction as Append,
  type HeaderValueOption,
  HeaderValueOptionSchema,
} from '../gen/envoy/config/core/v3/base_pb.js'
import { covers, type Problems, refuseOthers } from './problems.ts'
import type { Init } from './values.ts'

interface EncodedChanges {
  requestHeadersToAdd: Init<typeof HeaderValueOptionSchema>[]
  requestHeadersToRemove: string[]
  responseHeadersToAdd: Init<typeof HeaderValueOptionSchema>[]
  responseHeadersToRemove: string[]
}

/** The four fields that virtual hosts, routes and weighted clusters have in common. */
export function encodeHeaderChanges(owner: {
  readonly requestHeaders: HeaderChanges
  readonly responseHeaders: HeaderChanges
}): EncodedChanges {
  return {
    requestHeadersToAdd: encodeAdditions(owner.requestHeaders),
    requestHeadersToRemove: [...owner.requestHeaders.remove],
    responseHeadersToAdd: encodeAdditions(owner.responseHeaders),
    responseHeadersToRemove: [...owner.responseHeaders.remove],
  }
}

export const HEADER_CHANGE_FIELDS = [
  'request_headers_to_add',
  'request_headers_to_remove',
  'response_headers_to_add',
  'response_headers_to_remove',
] as const

export function decodeHeaderChanges(
  owner: {
    readonly requestHeadersToAdd: HeaderValueOption[]
    readonly requestHeadersToRemove: string[]
    readonly responseHeadersToAdd: HeaderValueOption[]
    readonly responseHeadersToRemove: string[]
  },
  path: string,
  problems: Problems,
): { requestHeaders: HeaderChanges; responseHeaders: HeaderChanges } {
  const side = (add: HeaderValueOption[], remove: string[], name: string): HeaderChanges => ({
    ...decodeAdditions(add, `${path}.${name}_headers_to_add`, problems),
    remove: remove.map((header) => header.toLowerCase()),
  })
  return {
    requestHeaders: side(owner.requestHeadersToAdd, owner.requestHeadersToRemove, 'request'),
    responseHeaders: side(owner.responseHeadersToAdd, owner.responseHeadersToRemove, 'response'),
  }
}

function encodeAdditions(changes: HeaderChanges): Init<typeof HeaderValueOptionSchema>[] {
  const option = (appendAction: Append) => (header: HeaderValue) => ({
    header: { key: header.name, value: header.value.replaceAll('%', '%%') },
    appendAction,
    // Without it Envoy drops a header whose value is empty.
    keepEmptyValue: header.value === '',
  })
  return [
    ...changes.set.map(option(Append.OVERWRITE_IF_EXISTS_OR_ADD)),
    ...changes.add.map(option(Append.APPEND_IF_EXISTS_OR_ADD)),
  ]
}

const OPTION = covers(
  HeaderValueOptionSchema,
  ...['header', 'append', 'append_action', 'keep_empty_value'],
)

function decodeAdditions(
  options: readonly HeaderValueOption[],
  path: string,
  problems: Problems,
): { set: HeaderValue[]; add: HeaderValue[] } {
  const set: HeaderValue[] = []
  const add: HeaderValue[] = []
  for (const [index, option] of options.entries()) {
    const at = `${path}[${index}]`
    refuseOthers(OPTION, option, at, problems)
    const name = (option.header?.key ?? '').toLowerCase()
    const value = decodeValue(option.header?.value ?? '', at, problems)
    if (value === '' && !option.keepEmptyValue) continue
    const action = actionOf(option)
    if (action === Append.APPEND_IF_EXISTS_OR_ADD) {
      add.push({ name, value })
    } else if (action === Append.OVERWRITE_IF_EXISTS_OR_ADD) {
      // The model sets before it adds; Envoy goes by position.
      if (add.some((header) => header.name === name)) {
        problems.add(at, `overwrites ${name}, which an earlier entry appends to`)
      }
      set.push({ name, value })
    } else {
      problems.add(`${at}.append_action`, `${Append[action] ?? action} is not supported`)
    }
  }
  return { set, add }
}

/** The older boolean wins where it is set; its default has always been "append". */
function actionOf(option: HeaderValueOption): Append {
  if (option.append === undefined) return option.appendAction
  return option.append ? Append.APPEND_IF_EXISTS_OR_ADD : Append.OVERWRITE_IF_EXISTS_OR_ADD
}

function decodeValue(value: string, path: string, problems: Problems): string {
  if (!value.includes('%')) return value
  if (value.replaceAll('%%', '').includes('%')) {
    problems.add(`${path}.header.value`, 'command operators (%…%) are not supported')
  }
  return value.replaceAll('%%', '%')
}
