// Listeners and speakers through misfortune, as they count it themselves: the way to one signaling node is cut, and
// the whole server stands still for longer than anybody may hear nothing.

import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'

import { Cable } from '../browser/cable.js'
import { eventually, Town } from '../browser/town.js'

const LISTENERS = 60
const SPEAKERS = 2
/** Longer than the second after which people ask for media again. */
const PAUSE_MS = 1_700

let town
before(async () => { town = await Town.start() })
after(async () => { await town?.stop() })

/** A load of which the report is read at its end. @param {string[]} more */
function load(...more) {
  return town.run(
    'load', '--metrics', `${town.admin}/metrics`, '--json', '--listeners', `${LISTENERS}`, '--speakers', `${SPEAKERS}`,
    '--talk', 'all', '--probes', '0', ...more,
  ).then(JSON.parse)
}

async function everybodyHears() {
  await eventually('everybody is in', async () =>
    await town.metric('dais_edge_listeners') === LISTENERS && await town.metric('dais_origin_speakers') === SPEAKERS, 60_000)
  const sent = () => town.metric('dais_edge_egress_packets_total')
  const before = await sent()
  await eventually('everybody is sent something', async () => await sent() > before + LISTENERS * 20)
}

/** Everybody is in to the end, and heard what can be explained. */
function isSound({ listeners, audio, presence }) {
  assert.deepEqual([listeners.joined, listeners.failed, listeners.dropped], [LISTENERS, 0, 0])
  assert.deepEqual([audio.undecryptable, audio.duplicates, audio.frames_unknown], [0, 0, 0])
  assert.equal(presence.gaps, 0)
}

test('people whose signaling node is gone go to the next one, and hear on meanwhile', async () => {
  const cable = await Cable.to(town.url)
  const running = load('--url', cable.url, '--url', town.url, '--duration', '6s')
  await everybodyHears()
  cable.cut()
  const report = await running
  cable.close()

  isSound(report)
  assert.deepEqual([report.failures.closed, report.failures.speaker_closed], [LISTENERS / 2, SPEAKERS / 2])
  const { lost, resumed, anew, away_ms } = report.sessions
  assert.deepEqual([lost, resumed, anew], [LISTENERS / 2, LISTENERS / 2, 0], 'as the same people')
  assert.ok(away_ms.max > 0)
  // Half of them would have lost as much in the shortest pause before anybody comes back.
  assert.ok(report.audio.loss_ratio <= 0.005, `${report.audio.frames_lost} frames lost`)
  assert.ok(report.audio.frames_expected > LISTENERS * SPEAKERS * 200, 'the speaker who was cut off spoke on')
  const at = Object.fromEntries(report.by_node.map(node => [node.node, node]))
  assert.equal(at['url-1'].listeners, LISTENERS / 2)
  assert.equal(at['url-2'].listeners, LISTENERS, 'its own, and those who came')
  const edges = report.by_node.filter(node => node.role === 'edge')
  assert.equal(edges.reduce((sum, edge) => sum + edge.listeners, 0), LISTENERS, 'nobody changed edges')
  assert.ok(edges.every(edge => edge.region === 'local'))
  for (const one of ['frames_expected', 'frames_received', 'frames_lost']) {
    const all = kind => report.by_node.filter(node => node.role === kind).reduce((sum, node) => sum + node[one], 0)
    assert.deepEqual([all('edge'), all('signaling'), report.by_region.local[one]], Array(3).fill(report.audio[one]), one)
  }
})

test('people whose signaling node does not answer when they come join at the next one', async () => {
  const cable = await Cable.to(town.url)
  cable.cut()
  const report = await load('--url', cable.url, '--url', town.url, '--duration', '2s')
  cable.close()

  isSound(report)
  assert.equal(report.sessions.lost, 0)
  assert.deepEqual(report.by_node.filter(node => node.role === 'signaling').map(node => node.node), ['url-2'])
})

test('whoever hears nothing for more than a second asks for media again, and hears again', async () => {
  const running = load(
    '--url', town.url, '--duration', '8s',
    '--require', `audio.longest_gap_ms.p50>${PAUSE_MS - 200}`, '--require', 'by_node.url-1.longest_gap_ms.p95>1000',
  )
  await everybodyHears()
  town.process.kill('SIGSTOP')
  await new Promise(resolve => setTimeout(resolve, PAUSE_MS))
  town.process.kill('SIGCONT')
  const report = await running

  isSound(report)
  assert.ok(report.failures.silent >= LISTENERS + SPEAKERS, `${report.failures.silent} fell silent`)
  assert.equal(report.sessions.lost, 0)
  assert.ok(report.audio.frames_lost > 0, 'what was said meanwhile was lost')
  assert.ok(report.audio.frames_received > report.audio.frames_lost * 2, 'and everybody heard again')
})
