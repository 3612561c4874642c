// What is done to a cluster whose parts are on hosts of their own: what takes a network, or more than one part.

import { eventually } from '../browser/town.js'
import { pause } from './hall.js'

/** @typedef {import('./hall.js').Hall} Hall */

/** How long a part has to lead its people away and to end. */
const DRAINED_MS = 45_000
/** How long a region is cut off. */
const CUT_S = 60
/** How long links lose packets, once everybody hears. */
const LOSSY_S = 30
/** How many more want to hear than there is room for. */
const MORE = 10
/** How long it may take until somebody is woken, and whatever else comes with it. */
const ALERT_MS = 900_000
const COMPANY_S = 60
/** For how long CPU is measured. */
const MEASURED_S = 20

/** Every part of these kinds is stopped in order and started again, one after another. @param {('signaling' | 'origin' | 'edge')[]} kinds */
export const restarted = (...kinds) => async (/** @type {Hall} */ hall) => {
  const before = await hall.begin()
  const { town } = hall
  for (const name of kinds.flatMap(kind => town.names(kind))) {
    const program = town.program(name)
    await program.stop(DRAINED_MS)
    program.restart()
    await eventually(`${name} is ready again`, () => town.ready(), 60_000)
    await eventually(`all know of ${name}`, () => town.knowsAll(), 60_000)
  }
  await hall.settle(before)
}

/** @param {number} percent lost on each link, each way */
export const lossy = percent => async (/** @type {Hall} */ hall) => {
  const { town } = hall
  town.cluster.network.lose([...town.names('origin'), ...town.names('edge')], percent)
  const before = await hall.begin()
  await pause(LOSSY_S)
  await hall.settle(before)
  hall.facts.repaired = await town.metric('dais_link_repaired_frames_total')
  hall.facts.given_up = await town.metric('dais_link_lost_frames_total')
}

/**
 * The media nodes of the region that the room's origin is not in are cut off from all others. People reach every host.
 * @param {Hall} hall
 */
export async function regionCut(hall) {
  const { town } = hall
  const before = await hall.begin()
  const home = town.region(await hall.origin())
  const away = [...town.names('origin'), ...town.names('edge')].filter(name => town.region(name) !== home)
  const others = town.cluster.services.filter(({ name, address }) => address && !away.includes(name)).map(({ name }) => name)
  const askedForMedia = () => town.metric('dais_signaling_messages_total', 'type="media"', 'direction="ingress"')
  const asked = await askedForMedia()
  hall.facts.away = await town.metric('dais_edge_listeners', `region="${town.region(away[0])}"`)
  town.cluster.network.cut(away, others)
  await pause(CUT_S)
  town.cluster.network.mend()
  hall.facts.asked = await askedForMedia() - asked
  await hall.settle(before)
}

/**
 * Every place is taken, and more people come. They are told when to come back; some of those who hear are let go; then they
 * come back, at their time. @param {Hall} hall
 */
export async function everyPlaceTaken(hall) {
  const { town } = hall
  const before = await hall.begin()
  hall.facts.spilled = await town.metric('dais_signaling_spilled_total')
  const nodes = town.names('signaling')
  const strangers = await Promise.all(Array.from({ length: MORE }, (_, number) => hall.stranger(nodes[number % nodes.length])))
  const refused = await Promise.all(strangers.map(async stranger => ({ stranger, answer: await stranger.listen(), at: Date.now() })))
  hall.facts.refused = refused.filter(({ answer }) => answer.code === 'full' && answer.retry_after_ms > 0).length
  const gone = before.people.filter(one => one.startsWith('listener-') && !before.hands.includes(one)).slice(0, MORE)
  for (const one of gone) await hall.act(nodes[0], 'kick', one)
  const back = refused.map(async ({ stranger, answer, at }) => {
    await pause((at + answer.retry_after_ms - Date.now()) / 1_000)
    return (await stranger.listen()).type === 'media'
  })
  hall.facts.at_their_time = (await Promise.all(back)).filter(Boolean).length
  hall.facts.longest_wait_s = Math.max(...refused.map(({ answer }) => answer.retry_after_ms)) / 1_000
  await Promise.all(strangers.map(stranger => stranger.leave()))
  await hall.settle({ ...before, people: before.people.filter(one => !gone.includes(one)) })
}

/**
 * Prometheus watches while links of an edge lose half of everything, while NATS is away, and while all certificates are
 * about to end: which alerts each of it brings. @param {Hall} hall
 */
export async function watched(hall) {
  const { town, facts } = hall
  const prometheus = `http://${town.cluster.address('prometheus')}:9090/api/v1`
  const firing = async () => {
    const { data } = await (await fetch(`${prometheus}/alerts`)).json()
    return [...new Set(data.alerts.filter(({ state }) => state === 'firing').map(({ labels }) => labels.alertname))].sort()
  }
  /** Waits for an alert, and for others that come with it. */
  const wakes = async () => {
    await eventually('an alert', async () => (await firing()).length > 0, ALERT_MS)
    await pause(COMPANY_S)
    return String(await firing())
  }
  const before = await hall.begin()
  facts.while_well = String(await firing()) || 'none'
  town.cluster.network.lose([(await hall.edges('b')).at(-1)], 50)
  facts.lossy_link = await wakes()
  town.cluster.network.mend()
  await eventually('all is well', async () => (await firing()).length === 0, ALERT_MS)
  const nats = town.program('nats')
  await nats.kill()
  facts.without_nats = await wakes()
  nats.restart()
  await eventually('all is well', async () => (await firing()).length === 0, ALERT_MS)
  facts.certificates_end = await wakes()
  await hall.settle(before)
}

/** How many cores each kind of part keeps busy while everybody is there. @param {Hall} hall */
export async function costs(hall) {
  const { cluster } = hall.town
  await hall.everybodyHears()
  const hosts = Object.keys(cluster.programs)
  const cpu = () => hosts.map(host => cluster.network.cpuSeconds(host))
  const [before, began] = [cpu(), Date.now()]
  await pause(MEASURED_S)
  const [after, seconds] = [cpu(), (Date.now() - began) / 1_000]
  const cores = {}
  for (const [index, host] of hosts.entries()) {
    const kind = host.split('-')[0]
    cores[kind] = (cores[kind] ?? 0) + (after[index] - before[index]) / seconds
  }
  hall.facts.cores = cores
}
