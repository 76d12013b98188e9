/** What a change of policies does, for people. Pure. */
import type { Style } from '../terminal/style.ts'
import type { Classes, PolicyChange, PolicyDiff } from './policy-diff.ts'

export function renderPolicyDiff({ changes, gaps }: PolicyDiff, style: Style): string {
  const notes = gaps.map((gap) => `${style.yellow('not all was tried')}: ${gap}\n`).join('')
  if (changes.length === 0) return `No call is newly allowed or denied.\n${notes}`
  return `${changes.map((one) => renderChange(one, style)).join('')}${notes}`
}

function renderChange(change: PolicyChange, style: Style): string {
  const { verdict, to, ports, protocol, calls, before, after } = change
  const title = {
    allowed: style.green('+ newly allowed'),
    denied: style.red('- newly denied'),
    asked: style.yellow('? newly asked'),
  }[verdict]
  const where = ports
    .map((port) => (port === 'other' ? 'ports that nobody names' : port))
    .join(', ')
  const rows = Object.entries(calls).map(
    ([name, values]) => `    ${name.padEnd(12)} ${classesText(values)}\n`,
  )
  const what = rows.length === 0 ? '    every call\n' : rows.join('')
  return `${title}  ${to} port ${where} (${protocol})\n${what}    ${style.dim('before')}       ${reasonOf(before)}\n    ${style.dim('after')}        ${reasonOf(after)}\n`
}

function classesText(classes: Classes): string {
  return 'of' in classes ? classes.of.join(' | ') : `all but ${classes.but.join(' | ')}`
}

function reasonOf({ decision, policy, rule, because }: PolicyChange['before']): string {
  const by =
    policy === null
      ? (because.split(':', 1)[0] ?? '')
      : `${policy}${rule === null ? '' : ` rule ${rule}`}`
  return `${{ allow: 'allowed', deny: 'denied', custom: 'asked' }[decision]}: ${by}`
}
