// Two hundred simulated listeners and four speakers for ten seconds: everybody hears everything, and when
// they have gone nothing of them is left. No times: the machine is not ours alone.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { eventually, Town } from '../browser/town.js'

const LISTENERS = 200

let town
before(async () => { town = await Town.start() })
after(async () => { await town?.stop() })

test('two hundred listeners hear every frame, while some leave and others come', async () => {
  const report = JSON.parse(await town.run(
    'load', '--url', town.url, '--metrics', `${town.admin}/metrics`, '--json',
    '--listeners', `${LISTENERS}`, '--speakers', '4', '--duration', '10s', '--churn', '5', '--promote', '30', '--probes', '2',
  ))
  assert.equal(report.listeners.joined, LISTENERS)
  assert.equal(report.listeners.failed + report.listeners.dropped, 0)
  assert.deepEqual(report.failures, {})
  const heard = report.audio
  assert.ok(heard.frames_expected > LISTENERS * 200, `somebody spoke: ${heard.frames_expected} frames`)
  assert.ok(heard.loss_ratio <= 0.0005, `${heard.frames_lost} of ${heard.frames_expected} frames lost`)
  assert.equal(heard.undecryptable + heard.duplicates, 0)
  assert.equal(report.presence.gaps, 0, 'no version of presence was left out')
  assert.equal(report.probes.connected, 2)
  assert.ok(report.probes.agree, 'full peer connections heard the same')
})

test('when everybody has gone nothing of them is left', async () => {
  const people = ['dais_edge_listeners', 'dais_origin_speakers', 'dais_signaling_participants']
  const here = async () => (await Promise.all(people.map(name => town.metric(name)))).reduce((sum, count) => sum + count)
  await eventually('nobody is here', async () => await here() === 0, 60_000)
  const files = () => readdirSync(`/proc/${town.process.pid}/fd`).length
  await eventually('their sockets are closed', () => files() < 60, 60_000)
})
