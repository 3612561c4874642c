// The drills: what is done to a town hall, and what is allowed to happen then.
//
//   row ─ load ─▶ `dais load`      drill(hall) ─▶ facts      figures(report, facts, the report of `beside`)
//
// Nothing is started here, and nothing is written.

import { compose } from '../cluster/form.js'
import { TOWN } from './hall.js'
import * as hosts from './hosts.js'
import * as misfortunes from './misfortunes.js'
import { storm, TOWN as FOUR } from './storm.js'

/**
 * What one run has shown.
 * @typedef {object} Run
 * @property {any} [report] report.json; none where the load has ended with an error
 * @property {Record<string, any>} facts
 * @property {any} [beside] the report of the row that this one is held against
 */
/**
 * @typedef {import('../load/benchmark/rows.js').Row & {
 *   drill: (hall: import('./hall.js').Hall, row: Row) => Promise<void>, doors?: import('./hall.js').Doors,
 *   beside?: string, needs?: 'previous', known?: string,
 *   town?: import('../browser/forms.js').Shape | (() => Promise<import('../browser/forms.js').Form>),
 *   storm?: { people: number, round_trip_ms: number },
 * }} Row
 */

/** A voice without pauses, and somebody on stage who is muted. */
const EVENT = { listeners: 1_000, speakers: 3, talk: 'all', ramp: 200, framing: 60, probes: 0, hands: 10 }

/** As much longer than undisturbed may a gap be that still counts as such: one packet. */
const PACKET_MS = 60

// Figures that several rows share. What was not measured is null, and holds nothing.

const reported = of => run => run.report ? of(run.report, run) : null
const after = of => run => run.facts.after ? of(run.facts.after) : null

const p99 = heard => heard?.longest_gap_ms.p99 ?? null
const beyond = (gap, run) => gap === null || !run.beside ? null : gap - p99(run.beside.audio)
const at = (report, name) => report.by_node.find(one => one.node === name)
const isEdge = one => one.role === 'edge'
const greatest = values => values.length ? Math.max(...values) : null

const gap = { name: 'longest gap p99, ms', of: reported(report => p99(report.audio)) }
const gapMax = { name: 'longest gap of anybody, ms', of: reported(report => report.audio.longest_gap_ms.max) }
const undisturbed = {
  name: 'its p99 beyond undisturbed, ms', of: reported((report, run) => beyond(p99(report.audio), run)), must: ['<=', PACKET_MS],
}
const lost = { name: 'loss ratio', of: reported(report => report.audio.loss_ratio) }
/** Who is deaf to the end together with everybody else has no gap, but losses. */
const nothingLost = { ...lost, must: ['<=', 0.001] }
const cut = { name: 'WebSockets that ended', of: reported(report => report.sessions.lost) }
const none = figure => ({ ...figure, must: ['=', 0], every: true })
const resumed = {
  name: 'of these not resumed', every: true, must: ['=', 0],
  of: reported(report => report.sessions.lost - report.sessions.resumed),
}
const away = most => ({
  name: 'longest away, s', of: reported(report => (report.sessions.away_ms.max ?? 0) / 1_000), must: ['<=', most],
})
const renewed = { name: 'media sessions that were renewed', of: reported(report => report.sessions.media_renewed) }
const out = {
  name: 'listeners who never came in or were put out', every: true, must: ['=', 0],
  of: reported(({ listeners }) => listeners.requested - listeners.joined + listeners.dropped),
}
const says = { name: 'what cannot work says so and when to come back', of: run => run.facts.says_so, must: ['=', true], every: true }

/** What is true in the end, at each signaling node. */
const truth = [
  { name: 'somebody new can come and raise a hand', of: run => run.facts.works, must: ['=', true], every: true },
  { name: 'stage, seats and mutes as before', of: after(one => one.stage), must: ['=', true], every: true },
  { name: 'hands as before', of: after(one => one.hands), must: ['=', true], every: true },
  { name: 'people lost from the list', of: after(one => one.lost), must: ['=', 0], every: true },
  { name: 'strange or twice in the list', of: after(one => one.strange), must: ['=', 0], every: true },
  { name: 'counts as the list', of: after(one => one.counts), must: ['=', true], every: true },
  { name: 'seconds until all of this was true', of: run => run.facts.true_after_s },
]
const peers = { name: 'peers at edges, beyond one a listener', of: after(one => one.peers), must: ['=', 0], every: true }

/** Of those who were at the node that was killed, and of the others. */
const ofKilled = (name, most) => ({
  name, of: reported((report, run) => p99(at(report, run.facts.killed))), ...most && { must: ['<=', most] },
})
const others = {
  name: 'the worst p99 of other edges beyond undisturbed, ms', must: ['<=', PACKET_MS],
  of: reported((report, run) => beyond(greatest(report.by_node.filter(one => isEdge(one) && one.node !== run.facts.killed).map(p99)), run)),
}
const beyondKilled = {
  name: 'media sessions renewed beyond those of its listeners', must: ['<=', 0], every: true,
  of: reported((report, run) => report.sessions.media_renewed - (at(report, run.facts.killed)?.listeners ?? 0)),
}

/** Gaps as undisturbed, and everything true afterwards. */
const untouched = { figures: [undisturbed, gap, gapMax, nothingLost, out, ...truth, peers, cut, renewed], leading: gap.name, beside: 'undisturbed' }
const TRUE_AFTER = 'gaps as undisturbed; what cannot work says so and when to come back; afterwards stage, hands, mutes and counts are true, no seat lost or taken twice'
const ALONE = 'gaps as undisturbed, no seat lost, nobody twice'
const RESUMED = 'gaps as undisturbed; everybody resumed within 10 s; seats, mutes, hands as before'

const event = (duration, more = {}) => ({ ...EVENT, ...more, duration })
const storeRow = (name, title, duration, drill, more = {}) => ({
  name, title, shows: TRUE_AFTER, load: event(duration), drill, ...untouched, figures: [...untouched.figures, says], ...more,
})
const aloneRow = (name, title, duration, drill, more = {}) => ({ name, title, shows: ALONE, load: event(duration), drill, ...untouched, ...more })

/** Nothing is cut: what a cable costs would be the machine's, which has no more to give. */
const UNCUT = { ...TOWN, cables: false }

/** One voice: ten thousand hear it, and the machine is the generator's too. */
const CROWD = { ...EVENT, listeners: 10_000, speakers: 1, ramp: 300, hands: 0, duration: 60 }
const presence = [
  { name: 'presence lag p99, ms', of: reported(report => report.presence.lag_ms.p99), must: ['<=', 1_000] },
  { name: 'promotion seen p99, ms', of: reported(report => report.presence.promotion_seen_ms.p99), must: ['<=', 500] },
  { name: 'bytes per listener and second', of: reported(report => report.presence.bytes_per_listener_s), must: ['<=', 300] },
]
const PRESENCE = 'presence lag p99 ≤ 1,000 ms; promotion seen p99 ≤ 500 ms; ≤ 300 bytes per listener and second'
const LEAST_LOSS = 0.0005
const lossOfAllowed = {
  name: 'loss, of what is allowed', must: ['<=', 1],
  of: reported((report, run) => run.beside ? report.audio.loss_ratio / Math.max(1.1 * run.beside.audio.loss_ratio, LEAST_LOSS) : null),
}
const came = [
  { name: 'left and came', of: reported(report => report.listeners.churned) },
  { name: 'promotions', of: reported(report => report.presence.promotions) },
  { name: 'dropped listeners', of: reported(report => report.listeners.dropped) }, gap,
]
const churn = (crowd, perSecond) => ({
  load: { ...crowd, churn: perSecond, promote: 12 }, town: UNCUT, drill: async () => {}, leading: presence[0].name,
})

/** Two of each that can let its people go to the other. */
const DRAINS = { signaling: ['a', 'a'], origin: ['a'], edge: ['a', 'a'], drain: '30s' }
const DRAINED = { ...EVENT, listeners: 5_000, ramp: 300, duration: 75 }
/** As much longer a gap may be. */
const HEARD_MS = 40
const drained = who => [
  { name: 'seconds until it is empty', of: run => run.facts.empty_after_s, must: ['<=', 30] },
  { name: `${who} on it`, of: run => run.facts.left_from },
  { name: `most ${who} who left in a second`, of: run => run.facts.most_in_a_second },
  { ...undisturbed, must: ['<=', HEARD_MS] }, gap, gapMax, { ...none(lost), name: 'loss ratio' }, out,
]

const ofStorm = (name, of, must = undefined) => ({ name, of: run => of(run.facts), ...must && { must: ['=', must[0]], every: true } })
const done = (what, name) => [
  ofStorm(`${what}, seconds from the first until the last was answered`, facts => facts[name]?.all_s),
  ofStorm(`${what} that were not done`, facts => facts[name]?.missing, [0]),
  ofStorm(`${what}, p50 at the client, ms`, facts => facts[name]?.p50_ms),
  ofStorm(`${what}, p99 at the client, ms`, facts => facts[name]?.p99_ms),
  ofStorm(`${what}, mean at the node, ms`, facts => facts[name]?.request_ms),
  ofStorm(`${what}, commits`, facts => facts[name]?.commits),
  ofStorm(`${what}, commits that lost to another node's`, facts => facts[name]?.conflicts),
  ofStorm(`${what}, mean of a commit, ms`, facts => facts[name]?.commit_ms),
]
const stormRow = round_trip_ms => {
  const figures = [
    ofStorm('a round trip to the store before the storm, ms', facts => facts.round_trip_ms),
    ...done('joins', 'joins'), ...done('hands', 'hands'),
    ofStorm('people twice, strange or missing in a list or a count', facts => facts.twice, [0]),
    ofStorm("each hand once at each host, in the store's order", facts => facts.in_order, [true]),
  ]
  return {
    name: `storm-${round_trip_ms}ms`, title: `1,000 joins within a second, then 1,000 hands, with a store ${round_trip_ms} ms away`,
    shows: 'done, in order, nothing twice', town: FOUR, storm: { people: 1_000, round_trip_ms }, drill: storm,
    leading: figures[1].name, figures,
  }
}

/** Variables of services: a drain that is not waited for longer than a drill needs to show it. */
const quickDrain = () => ({ DAIS_DRAIN: '10s' })
/** As many places in all as an event has listeners: half of them come to region b, where a fifth has a place. */
const PLACES = { a: 200, b: 100 }
const places = service => isEdgeService(service) ? { DAIS_CAPACITY: `${PLACES[service.environment.DAIS_REGION]}` } : {}
const isEdgeService = ({ command }) => command.includes('edge')
const oneDay = service => service.name === 'certs' ? { DAIS_DAYS: '1' } : {}

/** What must be true where a region was cut off. */
const cutOff = [
  {
    name: 'p99 of the other region beyond undisturbed, ms', must: ['<=', PACKET_MS],
    of: reported((report, run) => beyond(p99(report.by_region.a), run)),
  },
  { name: 'times that each asked for media', of: run => run.facts.asked / run.facts.away, must: ['<=', 15] },
  lost, out, none(cut), ...truth, peers, renewed,
]

/** What each kind of part costs, beside what another has published. */
const costRow = (name, title, theirs, load) => ({
  name, title, shows: `everybody is in; CPU of each part is only told. ${theirs}`, load: { ramp: 200, framing: 60, probes: 0, duration: 30, ...load },
  town: compose(), drill: hosts.costs, leading: 'cores, all parts together', once: true,
  figures: [
    { name: 'cores, all parts together', of: run => run.facts.cores ? Object.values(run.facts.cores).reduce((sum, one) => sum + one, 0) : null },
    ...['edge', 'origin', 'signaling', 'nats', 'redis', 'nginx', 'prometheus'].map(kind => ({ name: `of these, ${kind}`, of: run => run.facts.cores?.[kind] })),
    { name: 'cores of the generator', of: reported(report => report.load_generator.cores) }, out, lost, gap,
    { name: 'stage latency p99, ms', of: reported(report => report.stage.latency_ms.p99) },
  ],
})

/** @type {Row[]} */
export const ROWS = [
  {
    name: 'undisturbed', title: 'Nothing', shows: 'nothing by itself: the others are held against it', once: true,
    load: event(20), drill: misfortunes.nothing, leading: gap.name, figures: [gap, gapMax, lost, out, ...truth, none(cut), none(renewed)],
  },
  {
    name: 'leaf', title: 'Leaf edge killed', shows: 'its listeners hear again: p99 ≤ 2 s, all of them; others as undisturbed',
    load: event(20), drill: misfortunes.leafKilled, beside: 'undisturbed', leading: 'longest gap p99 of its listeners, ms',
    figures: [
      ofKilled('longest gap p99 of its listeners, ms', 2_000), { ...peers, name: 'peers at edges, beyond or short of one a listener' },
      others, gapMax, lost, out, none(cut), renewed, ...truth,
    ],
  },
  {
    name: 'hub', title: 'Hub edge killed', shows: "leaves below it: p99 ≤ 1 s; no listener's session changes but those of its own",
    load: event(20), drill: misfortunes.hubKilled, beside: 'undisturbed', leading: 'the worst longest gap p99 of a leaf below it, ms',
    figures: [
      {
        name: 'the worst longest gap p99 of a leaf below it, ms', must: ['<=', 1_000],
        of: reported((report, run) => run.facts.below ? greatest(run.facts.below.map(name => p99(at(report, name)))) : null),
      },
      beyondKilled, ofKilled('longest gap p99 of its own listeners, ms'), gapMax, lost, out, none(cut), renewed, ...truth, peers,
    ],
  },
  {
    name: 'origin', title: 'Origin killed', shows: "the stage is heard again within 3 s; no listener's session changes",
    load: event(20), drill: misfortunes.originKilled, leading: gapMax.name,
    figures: [{ ...gapMax, must: ['<=', 3_000] }, gap, none(renewed), none(cut), lost, out, ...truth, peers],
  },
  {
    name: 'signaling', title: 'Signaling node killed',
    shows: `${RESUMED}; the dead one's people gone from the counts within its lease (5 s, and a second to look); somebody banned meanwhile hears nothing more within 70 s`,
    load: event(95, { probes: 2 }), drill: misfortunes.signalingKilled, beside: 'undisturbed', leading: away(10).name,
    figures: [
      undisturbed, gap, gapMax, nothingLost, cut, resumed, away(10), renewed, ...truth.slice(0, -1),
      { name: "the dead one's people gone from the counts, s", of: run => run.facts.gone_after_s, must: ['<=', 6] },
      { name: 'counts right for good, s', of: run => run.facts.right_after_s, must: ['<=', 10] },
      { name: 'the banned one hears nothing more, s', of: run => run.facts.silent_after_s, must: ['<=', 70], every: true },
    ],
  },
  {
    name: 'nginx', title: 'nginx restarted', shows: RESUMED, doors: 'nginx', load: event(25), drill: misfortunes.nginxRestarted,
    beside: 'undisturbed', leading: away(10).name,
    figures: [undisturbed, gap, gapMax, nothingLost, out, cut, resumed, away(10), none(renewed), ...truth, peers],
  },
  aloneRow('nats-cut', 'One signaling node cut from NATS for 30 s: refused', 60, misfortunes.cutFrom('nats', 'cut')),
  aloneRow('nats-dead', 'One signaling node cut from NATS for 30 s: nothing comes through', 60, misfortunes.cutFrom('nats', 'die')),
  aloneRow('redis-cut', 'One signaling node cut from Redis for 30 s: refused', 60, misfortunes.cutFrom('redis', 'cut')),
  aloneRow('redis-dead', 'One signaling node cut from Redis for 30 s: nothing comes through', 60, misfortunes.cutFrom('redis', 'die')),
  aloneRow('paused-5', 'One signaling node paused for 5 s', 35, misfortunes.paused(5)),
  aloneRow('paused-40', 'One signaling node paused for 40 s', 70, misfortunes.paused(40)),
  storeRow('nats-away', 'NATS away for 30 s', 60, misfortunes.natsAway),
  storeRow('redis-away', 'Redis away for 30 s', 60, misfortunes.redisAway),
  storeRow('redis-empty', 'Redis back empty', 40, misfortunes.redisEmpty, { figures: untouched.figures }),
  storeRow('redis-older', 'Redis back older by 2 s', 40, misfortunes.redisOlder, { figures: untouched.figures }),
  storeRow('redis-loading', 'Redis answers LOADING for 15 s', 50, misfortunes.redisLoading),
  storeRow('redis-readonly', 'Redis answers READONLY for 15 s', 60, misfortunes.redisReadOnly),
  storeRow('redis-misconf', 'Redis answers MISCONF for 15 s', 45, misfortunes.redisCannotSave),
  storeRow('redis-oom', 'Redis is out of memory for 15 s', 45, misfortunes.redisOutOfMemory),
  {
    name: 'all-signaling', title: 'All signaling nodes restarted at once', shows: 'everybody back within 30 s',
    load: event(45), drill: misfortunes.signalingRestarted, leading: away(30).name, beside: 'undisturbed',
    figures: [away(30), resumed, cut, undisturbed, gap, nothingLost, out, ...truth, peers, renewed],
  },
  {
    name: 'one-address', title: 'All signaling nodes restarted at once, 2,000 people behind one address', shows: 'everybody back within 30 s',
    load: event(50, { listeners: 2_000 }), doors: 'one address', drill: misfortunes.signalingRestarted, leading: away(30).name,
    figures: [away(30), resumed, cut, gap, lost, out, ...truth, peers, renewed],
  },
  {
    name: 'crowd', title: '10,000 listeners', shows: 'nothing by itself: the next is held against it', once: true,
    load: CROWD, town: UNCUT, drill: async () => {}, leading: gap.name, figures: [gap, lost, out, ...presence.slice(2)],
  },
  {
    name: 'churn', title: '10,000 listeners, churn 200/s, 12 promotions a minute',
    shows: `${PRESENCE}; loss ≤ max(1.1 × that without churn, 0.0005)`, beside: 'crowd', ...churn(CROWD, 200),
    figures: [...presence, lost, lossOfAllowed, ...came],
    known: 'two cores are full, more than a third of it with the generator; presence gives way, and to tell ten thousand of a promotion takes a quarter of a second of a core',
  },
  {
    name: 'churn-half', title: '5,000 listeners, churn 100/s, 12 promotions a minute',
    shows: `the same with half as many, for whom two cores are enough: ${PRESENCE}; loss ≤ 0.0005`, ...churn({ ...CROWD, listeners: 5_000 }, 100),
    figures: [...presence, { ...lost, must: ['<=', LEAST_LOSS] }, ...came],
  },
  {
    name: 'calm', title: '5,000 listeners, with one signaling node more than they need', shows: 'nothing by itself: the next two are held against it',
    once: true, load: DRAINED, town: DRAINS, drill: misfortunes.nothing, leading: gap.name, figures: [gap, lost, out, ...truth],
  },
  {
    name: 'edge-drained', title: 'An edge with 5,000 listeners drained', beside: 'calm', load: DRAINED, town: DRAINS,
    shows: `0 frames lost, longest gap ≤ undisturbed + ${HEARD_MS} ms; all gone within 30 s`, drill: misfortunes.edgeDrained,
    leading: 'seconds until it is empty', figures: [...drained('listeners'), none(cut), renewed, ...truth, peers],
  },
  {
    name: 'signaling-drained', title: 'A signaling node with 2,500 people stopped in order', beside: 'calm', load: DRAINED, town: DRAINS,
    shows: `0 frames lost, longest gap ≤ undisturbed + ${HEARD_MS} ms; all gone within 30 s`, drill: misfortunes.signalingDrained,
    leading: 'seconds until it is empty', figures: [...drained('people'), cut, resumed, away(1), none(renewed), ...truth, peers],
  },
  {
    name: 'keys', title: 'Authority of the links, key of the cluster and key of the tokens changed', beside: 'undisturbed', load: event(60),
    shows: 'gaps as undisturbed, nobody put out; every node has another certificate, and the old key opens nothing', drill: misfortunes.keysChanged,
    leading: gap.name, figures: [
      undisturbed, gap, gapMax, nothingLost, out, cut, resumed, none(renewed), ...truth, peers,
      { name: 'every media node has another certificate', of: run => run.facts.renewed, must: ['=', true], every: true },
      { name: 'what the old key of the tokens gets', of: run => run.facts.old_key, must: ['=', 'unauthorized'], every: true },
    ],
  },
  stormRow(1),
  stormRow(100),
  {
    name: 'hosts', title: 'Nothing, each part on a host of its own', shows: 'nothing by itself: the next ones are held against it', once: true,
    load: event(20), town: compose(), drill: misfortunes.nothing, leading: gap.name, figures: [gap, gapMax, lost, out, ...truth, none(cut), none(renewed)],
  },
  {
    name: 'rolling', title: 'Signaling nodes and edges restarted one after another, each drained before', beside: 'hosts', load: event(180),
    town: compose({ more: quickDrain }), shows: 'nobody dropped, gaps as undisturbed', drill: hosts.restarted('signaling', 'edge'),
    leading: gap.name, figures: [undisturbed, gap, gapMax, { ...lost, must: ['=', 0] }, out, resumed, away(10), ...truth, peers, cut, renewed],
  },
  {
    name: 'rolling-origins', title: 'Origins restarted one after another', load: event(45), town: compose({ more: quickDrain }),
    shows: 'nobody dropped, no gap above 3 s', drill: hosts.restarted('origin'), leading: gapMax.name,
    figures: [{ ...gapMax, must: ['<=', 3_000] }, gap, out, none(cut), none(renewed), lost, ...truth, peers],
  },
  {
    name: 'lossy-links', title: 'Every link loses 5 % and takes 50 ms, each way; three voices', load: event(60), town: compose({ linkMs: 50 }),
    shows: 'loss ratio ≤ 0.003 at 60 ms framing', drill: hosts.lossy(5), leading: lost.name,
    figures: [
      { ...lost, must: ['<=', 0.003] }, gap, gapMax, out, none(cut), none(renewed), ...truth, peers,
      { name: 'frames that were missing on a link and then came', of: run => run.facts.repaired },
      { name: 'frames that never came', of: run => run.facts.given_up },
    ],
  },
  {
    name: 'region-full', title: 'Every place of a region taken, then every place of the cluster', load: event(110), town: compose({ more: places }),
    shows: 'people spill into the other region; then they are refused with a time, and get in at that time once somebody has left',
    drill: hosts.everyPlaceTaken, leading: 'longest time that somebody was told to wait, s',
    figures: [
      { name: 'listeners sent to the other region', of: run => run.facts.spilled, must: ['>=', 1], every: true },
      { name: 'of ten more, refused with a time', of: run => run.facts.refused, must: ['=', 10], every: true },
      { name: 'of these, let in at their time', of: run => run.facts.at_their_time, must: ['=', 10] },
      { name: 'longest time that somebody was told to wait, s', of: run => run.facts.longest_wait_s }, gap, lost, none(cut), ...truth,
    ],
  },
  {
    name: 'region-cut', title: 'A region without the origin cut off for 60 s, and no place elsewhere', load: event(185), town: compose({ more: places }),
    shows: 'its listeners hear again within 3 s of the heal; others as undisturbed; nobody asks for media all the time',
    drill: hosts.regionCut, beside: 'hosts', leading: gapMax.name,
    figures: [{ ...gapMax, must: ['<=', 63_000] }, ...cutOff],
  },
  {
    name: 'region-moved', title: 'The same with places elsewhere', load: event(115), town: compose(),
    shows: 'its listeners hear again at edges elsewhere, within 4 s; others as undisturbed', drill: hosts.regionCut, beside: 'hosts',
    leading: gapMax.name, figures: [{ ...gapMax, must: ['<=', 4_000] }, ...cutOff],
  },
  {
    name: 'alerts', title: 'A link that loses half, NATS away, certificates of one day', once: true, load: event(900, { listeners: 200 }),
    town: compose({ more: oneDay }), shows: 'the alert for each, no other, and none before', drill: hosts.watched, leading: lost.name,
    figures: [
      { name: 'while all is well', of: run => run.facts.while_well, must: ['=', 'none'] },
      { name: 'a lossy link', of: run => run.facts.lossy_link, must: ['=', 'LinkLoses'] },
      { name: 'without NATS', of: run => run.facts.without_nats, must: ['=', 'NatsAway'] },
      { name: 'certificates that end', of: run => run.facts.certificates_end, must: ['=', 'CertificateEndsSoon'] },
      lost, out, ...truth,
    ],
  },
  costRow('cost-rooms', '200 people in 100 rooms, two on each stage', 'VoxaStream: 30 % of 4 cores', { rooms: 100, listeners: 0, speakers: 2, talk: 'conversation' }),
  costRow('cost-turns', '2,000 listeners, 32 speakers in turn', 'VoxaStream: 50 % of 4 cores', { listeners: 2_000, speakers: 32, talk: 'turns' }),
  costRow('cost-crowd', '8,000 listeners, four speakers', 'VoxaStream: 70 % of 4 cores', { listeners: 8_000, speakers: 4, talk: 'conversation' }),
  {
    name: 'previous', title: "The previous build's signaling, edges and origin beside this one's", needs: 'previous',
    shows: 'everything works, both ways', load: event(40), drill: misfortunes.twoBuilds, leading: gapMax.name,
    figures: [out, none(cut), { ...gapMax, must: ['<=', 3_000] }, lost, ...truth, peers, renewed],
  },
]

/** The same with another number of people where it says 1,000, to try it out. @param {Row} row @param {number} listeners @returns {Row} */
export function scaled(row, listeners) {
  const by = listeners / EVENT.listeners
  const least = { listeners: 20, ramp: 20, churn: 2 }
  const smaller = ([name, value]) => [name, name in least && value > 0 ? Math.max(least[name], Math.round(value * by)) : value]
  if (by === 1) return row
  if (row.storm) return { ...row, storm: { ...row.storm, people: listeners } }
  return { ...row, load: Object.fromEntries(Object.entries(row.load).map(smaller)) }
}
