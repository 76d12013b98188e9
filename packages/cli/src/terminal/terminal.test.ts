import assert from 'node:assert/strict'
import { test } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { clip, columns } from './columns.ts'
import { fakeTerminal } from './fake-terminal.ts'
import { openLiveScreen, renderFrame } from './live.ts'
import { colourStyle, wantsColour } from './style.ts'

test('columns() aligns by what is seen, not by escape sequences', () => {
  const table = columns([
    ['A', 'B'],
    [colourStyle.red('long cell'), 'x'],
  ])
  assert.equal(stripVTControlCharacters(table), 'A          B\nlong cell  x\n')
})

test('columns() leaves no blanks at line ends and accepts rows of different length', () => {
  assert.equal(columns([['a', 'b'], ['ccc'], ['d', '']]), 'a    b\nccc\nd\n')
  assert.equal(columns([]), '')
})

test('clip() cuts by what is seen and keeps escape sequences whole', () => {
  assert.equal(clip(`${colourStyle.red('abcdef')}gh`, 4), '\u001b[31mabcd\u001b[39m')
  assert.equal(clip('abc', 3), 'abc')
})

test('a frame overwrites the one before and never scrolls', () => {
  const frame = renderFrame(['one', 'a line that is too long', 'three'], { columns: 6, rows: 2 })
  assert.equal(frame, '\u001b[Hone\u001b[K\r\na line\u001b[K\u001b[J')
})

test('a live screen gives the terminal back once, and draws nothing afterwards', () => {
  const terminal = fakeTerminal()
  const screen = openLiveScreen(terminal)
  screen.close()
  const closed = terminal.output()
  screen.close()
  screen.draw(['x'])
  assert.equal(terminal.output(), closed)
  assert.ok(closed.endsWith('\u001b[?25h\u001b[?1049l'))
})

test('colour is for terminals, unless NO_COLOR or FORCE_COLOR say otherwise', () => {
  assert.equal(wantsColour(true, {}), true)
  assert.equal(wantsColour(false, {}), false)
  assert.equal(wantsColour(true, { NO_COLOR: '1' }), false)
  assert.equal(wantsColour(true, { TERM: 'dumb' }), false)
  assert.equal(wantsColour(false, { FORCE_COLOR: '1' }), true)
})
