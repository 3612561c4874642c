// What the drills make of reports and facts. Nothing is started here.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { judge, measuredPart } from '../load/benchmark/page.js'
import { DRILLS } from './page.js'
import { ROWS, scaled } from './rows.js'

const row = name => ROWS.find(row => row.name === name)
const AFTER = { stage: true, hands: true, counts: true, lost: 0, strange: 0, peers: 0 }

/** A report of which a row needs little more. */
const report = gap => ({
  audio: { longest_gap_ms: { p99: gap, max: gap }, loss_ratio: 0 }, sessions: { lost: 0, resumed: 0, away_ms: {}, media_renewed: 0 },
  listeners: { requested: 10, joined: 10, dropped: 0 }, by_node: [], commit: 'abc', config: { listeners: 1_000 },
})

test('a gap is held against the undisturbed run', () => {
  const run = gap => ({ report: report(gap), facts: { works: true, after: AFTER, true_after_s: 1 }, beside: report(80) })
  assert.equal(judge(row('paused-5'), [run(139)]).holds, true)
  const verdict = judge(row('paused-5'), [run(141)])
  assert.deepEqual(verdict.figures.filter(one => one.holds === false).map(one => [one.figure.name, one.median]), [['its p99 beyond undisturbed, ms', 61]])
})

test('a drill whose load ended early holds nothing, and breaks nothing', () => {
  for (const row of ROWS.filter(row => row.name !== 'undisturbed' && row.name !== 'crowd')) {
    const { figures } = judge(row, [{ report: undefined, facts: {} }])
    assert.ok(figures.every(one => one.holds !== true), row.name)
    assert.ok(figures.some(one => one.holds === false), row.name)
  }
})

test('what is not true at one node in one run does not hold', () => {
  const run = after => ({ report: report(80), facts: { works: true, after, true_after_s: 1 }, beside: report(80) })
  assert.equal(judge(row('nats-cut'), [run(AFTER), run(AFTER), run({ ...AFTER, strange: 1 })]).holds, false)
})

test('the page tells what was seen, and why a row does not hold where that is known', () => {
  const known = 'it is not mended yet'
  const older = { ...row('redis-older'), known }
  const { name, figures } = older
  const values = Object.fromEntries(figures.map(figure => [figure.name, figure.name === 'stage, seats and mutes as before' ? false : 0]))
  const machine = { busy_cores_before: 0, stolen_cores: 0 }
  const runs = [{ started: '2026-11-20T10:00:00Z', figures: values, machine, said: ['dais load ended with 1'] }]
  const page = measuredPart({ ...DRILLS, rows: [older] }, { [name]: { commit: 'abc', machine: { cores: 2, memory_bytes: 2 ** 32 }, command: ['dais load'], median_run: 1, runs, report: report(80) } })
  for (const text of [`**no**, known: ${known} |`, `Known not to hold: ${known}.`, 'Run 1: dais load ended with 1', 'stage, seats and mutes as before: no', '(benchmarks/drills/redis-older.json)']) {
    assert.ok(page.includes(text), `${text}\n${page}`)
  }
})

test('fewer people come more slowly', () => {
  const { load } = scaled(row('one-address'), 100)
  assert.deepEqual([load.listeners, load.ramp, load.hands], [200, 20, 10])
})
