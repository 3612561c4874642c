// What the benchmarks make of figures: medians, what holds, and the page. Nothing is measured here.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { BENCHMARKS, holds, judge, measuredPart, middleOf, number } from './benchmark/page.js'
import { memoryGrowth, options, ROWS, scaled } from './benchmark/rows.js'

const row = {
  name: 'conversation', title: 'A row', shows: 'little', load: { listeners: 10 }, leading: 'loss',
  figures: [
    { name: 'loss', of: run => run.loss, must: ['<=', 0.5] },
    { name: 'joined', of: run => run.joined, must: ['=', 10], every: true },
    { name: 'told', of: () => undefined },
  ],
}

test('the median decides about times and ratios, every run about counts', () => {
  const run = (loss, joined) => ({ loss, joined })
  const good = judge(row, [run(0.9, 10), run(0.1, 10), run(0.2, 10)])
  assert.deepEqual([good.middle, good.holds], [2, true])
  assert.deepEqual(good.figures.map(one => one.holds), [true, true, null])
  const bad = judge(row, [run(0.1, 10), run(0.1, 9), run(0.2, 10)])
  assert.deepEqual(bad.figures.map(one => one.holds), [true, false, null])
  assert.equal(bad.holds, false)
})

test('what was not measured holds nothing, and is the worst', () => {
  assert.equal(holds({ must: ['<=', 1] }, [null]), false)
  assert.equal(holds({}, [null]), null)
  assert.equal(middleOf([null, 1, 2]), 2)
})

test('a row becomes the command line that the help names', () => {
  const [conversation] = ROWS
  assert.equal(options(conversation).join(' '),
    '--listeners 10000 --speakers 4 --talk conversation --ramp 300 --duration 60s --framing 60 --probes 2')
  const smaller = scaled(conversation, 0.02)
  assert.equal(smaller.load.listeners, 200)
  assert.deepEqual(smaller.figures.find(figure => figure.name === 'listeners joined').must, ['=', 200])
})

test('memory is flat when the last minute is like the one after the first two', () => {
  const report = bytes => ({
    config: { listeners: 10 },
    timeline: Array.from({ length: 300 }, (_, at) => ({ listeners: at < 5 ? 1 : 10, server_rss_bytes: bytes(at) })),
  })
  assert.equal(memoryGrowth({ report: report(at => at < 100 ? at : 1_000) }), 0)
  assert.ok(memoryGrowth({ report: report(at => 1_000 + at) }) > 0.05)
  assert.equal(memoryGrowth({ report: { ...report(() => 1), timeline: report(() => 1).timeline.slice(0, 100) } }), null)
})

test('the page says what was measured, where, and what does not hold', () => {
  const figures = { 'listeners joined': 10_000, 'loss ratio': 0.002 }
  const runs = [1, 2, 3].map(() => ({ started: '2026-11-20T10:00:00Z', figures, machine: { busy_cores_before: 0.5, stolen_cores: 0 } }))
  const machine = { cores: 2, model: 'A CPU', kernel: 'linux 6', memory_bytes: 2 ** 32, 'net.core.rmem_max': 1 }
  const page = measuredPart(BENCHMARKS, { conversation: { commit: 'abc', dirty: true, machine, command: ['dais up'], median_run: 2, runs, report: { config: { listeners: 10_000 } } } })
  for (const text of ['2 cores (A CPU), 4 GiB', '| loss ratio | ≤ 0.0005 | 0.002 | 0.002 | 0.002 | 0.002 | **no** |', 'in no commit', 'up to 0.5 cores', 'of run 2', 'Not measured yet: The same']) {
    assert.ok(page.includes(text), `${text}\n${page}`)
  }
})

test('figures are as short as can be read', () => {
  assert.deepEqual([0, 12_345.6, 0.00004567, true, null].map(number), ['0', '12,346', '0.0000457', 'yes', '?'])
})
