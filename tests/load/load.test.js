// Two hundred simulated listeners and four speakers for ten seconds: everybody hears everything, and when
// they have gone nothing of them is left. No times: the machine is not ours alone.

import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, before, test } from 'node:test'

import { eventually, Town } from '../browser/town.js'

const LISTENERS = 200
const SPEAKERS = 4

/** What counts people: nobody is anywhere once all these are 0. */
const PEOPLE = ['dais_edge_listeners', 'dais_origin_speakers', 'dais_signaling_participants']

let town
/** What the program holds while nobody is there. */
let empty
before(async () => {
  town = await Town.start()
  empty = await holdings()
})
after(async () => { await town?.stop() })

async function holdings() {
  const counts = await Promise.all(PEOPLE.map(name => town.metric(name)))
  return {
    people: counts.reduce((sum, count) => sum + count, 0),
    files: readdirSync(`/proc/${town.process.pid}/fd`).length,
    tasks: await town.metric('process_tasks'),
  }
}

test('two hundred listeners hear every frame, while some leave and others come', async () => {
  const running = town.run(
    'load', '--url', town.url, '--metrics', `${town.admin}/metrics`, '--json',
    '--listeners', `${LISTENERS}`, '--speakers', `${SPEAKERS}`, '--duration', '10s', '--churn', '5', '--promote', '30', '--probes', '2',
  )
  const costs = async () => {
    const { files, tasks } = await holdings()
    return files > empty.files + LISTENERS / 2 && tasks > empty.tasks + LISTENERS / 2
  }
  // Else their being gone afterwards would prove nothing.
  const seen = eventually('people cost files and tasks', costs, 60_000).then(() => true)
  assert.ok(await Promise.race([running.then(() => false), seen]), 'people cost files and tasks')

  const report = JSON.parse(await running)
  assert.equal(report.listeners.joined, LISTENERS)
  assert.equal(report.listeners.failed + report.listeners.dropped, 0)
  assert.deepEqual(report.failures, {})
  assert.ok(report.listeners.churned > 0 && report.presence.promotions > 0, 'some left, came, and went on stage')
  for (const [name, heard, least] of [['listeners', report.audio, LISTENERS * 200], ['speakers', report.stage, SPEAKERS * 200]]) {
    assert.ok(heard.frames_expected > least, `${name}: somebody spoke: ${heard.frames_expected} frames`)
    assert.ok(heard.loss_ratio <= 0.0005, `${name}: ${heard.frames_lost} of ${heard.frames_expected} frames lost`)
    assert.equal(heard.frames_received + heard.frames_lost, heard.frames_expected, name)
    assert.equal(heard.undecryptable + heard.duplicates + heard.frames_unknown, 0, name)
  }
  assert.equal(report.presence.gaps, 0, 'no version of presence was left out')
  assert.equal(report.probes.connected, 2)
  assert.ok(report.probes.agree, 'full peer connections heard the same')
})

test('when everybody has gone nothing of them is left', async () => {
  assert.equal(empty.people, 0)
  for (const what of ['people', 'files', 'tasks']) {
    await eventually(`no more ${what} than before`, async () => (await holdings())[what] <= empty[what], 60_000)
  }
})
