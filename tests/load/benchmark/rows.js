// What is measured, and what must be seen in it: the rows of docs/benchmarks.md.
//
//   row ─ load ─▶ the command line of `dais load`          row ─ bench ─▶ the target of `cargo bench`
//       └ figures ─▶ one number of each run, and what it must be
//
// Nothing is started here, and nothing is written.

/**
 * What one run has shown.
 * @typedef {object} Run
 * @property {any} [report] report.json
 * @property {Left} [left] what was still there after everybody had gone
 * @property {Record<string, number>} [framing] listeners by framing while most were in, as the edges count them
 * @property {string[]} [lines] what a bench has printed
 * @property {string[]} [said] what is to be told of this run beside its figures
 */
/** @typedef {{ peers: number, participants: number, files: number, tasks: number, rss_bytes: number }} Left */
/**
 * One figure of a run.
 * @typedef {object} Figure
 * @property {string} name
 * @property {(run: Run) => number | boolean | null | undefined} of
 * @property {['<=' | '=' | '>=', number | boolean]} [must] none: it is only told
 * @property {boolean} [every] every run must hold it, and not only the median
 */
/**
 * @typedef {object} Row
 * @property {string} name in file names and for --only
 * @property {string} title
 * @property {string} shows what must be seen
 * @property {string[]} [server] more of the server's command line
 * @property {Record<string, number | string>} [load] options of `dais load`; times in seconds
 * @property {string} [bench] crate and target, as in `edge fanout`
 * @property {string} leading the figure whose median decides which run's report is kept
 * @property {boolean} [once] one run is enough, for others are held against it
 * @property {string} [known] why it does not hold today
 * @property {boolean} [together] its runs go side by side: they are long, and nothing in them is a matter of time
 * @property {Figure[]} figures
 * @property {{ row: string, figure: string }} [against] another row, and the figure to compare
 */

/** Names of options whose values are times. */
const TIMES = ['duration', 'reconnect-at']

/** @param {Row} row @returns {string[]} its options on the command line */
export function options(row) {
  const load = Object.entries(row.load ?? {})
  return load.flatMap(([name, value]) => [`--${name}`, TIMES.includes(name) ? `${value}s` : `${value}`])
}

/** @param {Row} row @returns {number} seconds that a run takes at most, unless something hangs */
export function patience(row) {
  const { listeners = 0, rooms = 1, speakers = 0, ramp = 500, duration = 60 } = row.load ?? {}
  return 300 + Number(duration) + 3 * Number(rooms) * (Number(listeners) + Number(speakers)) / Number(ramp)
}

/**
 * The same with fewer people and less time, to try the script out.
 * @param {Row} row @param {number} by @returns {Row}
 */
export function scaled(row, by) {
  if (by === 1 || !row.load) return row
  const least = { listeners: 20, rooms: 2, ramp: 20, duration: 6, 'reconnect-at': 2, churn: 2, garbage: 100 }
  const smaller = ([name, value]) => [name, name in least && value > 0 ? Math.max(least[name], Math.round(value * by)) : value]
  const load = Object.fromEntries(Object.entries(row.load).map(smaller))
  if (load.rooms === least.rooms && row.load.rooms === 1) load.rooms = 1
  return { ...row, load, figures: row.figures.map(figure => figure.scaled?.(load) ?? figure) }
}

// Figures that several rows share.

const joined = count => ({
  name: 'listeners joined', of: run => run.report.listeners.joined, must: ['=', count], every: true,
  scaled: load => joined(load.listeners),
})
const sum = (rows, of) => rows.reduce((total, one) => total + of(one), 0)
const failures = { name: 'joins that failed, and were tried again', of: run => sum(Object.values(run.report.failures), count => count) }
const dropped = { name: 'dropped listeners', of: run => run.report.listeners.dropped, must: ['=', 0], every: true }
const toldToWait = { name: 'told when to come back', of: run => run.report.listeners.told_to_wait }
const joinsPerS = { name: 'joins per second, as reached', of: run => run.report.listeners.joins_per_s }
const loss = (most, name = 'audio') => ({ name: 'loss ratio', of: run => run.report[name].loss_ratio, must: ['<=', most] })
const lost = { name: 'frames lost', of: run => run.report.audio.frames_lost }
const latency = most => ({ name: 'latency p99, ms', of: run => run.report.audio.latency_ms.p99, ...most && { must: ['<=', most] } })
const gap = most => ({ name: 'longest gap p99, ms', of: run => run.report.audio.longest_gap_ms.p99, ...most && { must: ['<=', most] } })
const firstAudio = most => ({ name: 'first audio p99, ms', of: run => run.report.first_audio_ms.p99, ...most && { must: ['<=', most] } })
const undecryptable = { name: 'undecryptable packets', of: run => run.report.audio.undecryptable, must: ['=', 0], every: true }
const presenceGaps = { name: 'presence messages missed', of: run => run.report.presence.gaps, must: ['=', 0], every: true }
const agree = { name: 'probes agree', of: run => run.report.probes.agree, must: ['=', true], every: true }
const cores = most => ({ name: 'cores of the server', of: run => sum(run.report.nodes, node => node.cores), ...most && { must: ['<=', most] } })
const generatorCores = { name: 'cores of the generator', of: run => run.report.load_generator.cores }
const perPacket = { name: 'CPU of the server per packet, µs', of: run => run.report.nodes[0]?.cpu_us_per_packet }
const packets = { name: 'packets per second', of: run => run.report.audio.packets_per_s }
const memory = { name: 'memory of the server, MB', of: run => sum(run.report.nodes, node => node.rss_peak_bytes) / 1e6 }
const lateTicks = { name: 'late ticks of the generator', of: run => run.report.load_generator.late_ticks / Math.max(1, run.report.load_generator.ticks) }
const socketDrops = { name: 'packets lost by the generator', of: run => run.report.load_generator.socket_drops }
const handshakeWait = { name: 'longest wait of a handshake for the generator, ms', of: run => run.report.load_generator.handshake_wait_max_ms }
const bystanders = [cores(), generatorCores, perPacket, packets, memory, lateTicks, socketDrops]

/** Frames that were lost while others still came in: those who lost them were in. */
const lostInRamp = {
  name: 'frames lost while others came in', must: ['=', 0],
  of: ({ report }) => {
    const full = report.timeline.findIndex(second => second.listeners >= report.listeners.joined)
    return sum(report.timeline.slice(0, full < 0 ? undefined : full + 1), second => second.frames_lost)
  },
}

/** Whoever tries the script out does not wait for a wrap. */
const wraps = { name: 'listeners past a wrap', of: run => run.report.audio.sequence_wraps?.listeners }
const wrapped = { ...wraps, must: ['=', 2_000], every: true, scaled: () => wraps }

/** Memory in the last minute against the minute that begins two minutes after everybody was in. */
export function memoryGrowth({ report }) {
  const full = report.timeline.findIndex(second => second.listeners >= report.config.listeners * 0.99)
  const read = report.timeline.slice(full).filter(second => second.server_rss_bytes)
  const settled = read.slice(120, 180)
  const last = read.slice(-60)
  const mean = seconds => sum(seconds, second => second.server_rss_bytes) / seconds.length
  return settled.length && read.length >= 240 ? mean(last) / mean(settled) - 1 : null
}

const left = (name, of) => ({ name, of: run => of(run.left), must: ['<=', 0], every: true })
const leaks = [
  left('peers left behind', left => left.peers),
  left('participants left behind', left => left.participants),
  left('open files more than before', left => left.files),
  left('tasks more than before', left => left.tasks),
]

const conversation = { listeners: 10_000, speakers: 4, talk: 'conversation', ramp: 300, duration: 60, framing: 60, probes: 2 }
const ramped = ramp => ({
  load: { ...conversation, ramp }, leading: 'first audio p99, ms',
  figures: [joined(10_000), dropped, firstAudio(1_500), lostInRamp, loss(0.0005), undecryptable, joinsPerS, toldToWait, failures, handshakeWait, ...bystanders],
})

/** One figure out of what a bench has printed, by name. @param {string} where start of the line @param {string} key */
const printed = (where, key) => run => {
  const line = run.lines.find(line => line.startsWith(where))
  const found = line?.match(new RegExp(`(?:^| )${key}=([0-9.]+)`))
  return found ? Number(found[1]) : null
}
const bytes = where => run => {
  const found = run.lines.find(line => line.startsWith(where))?.match(/ ([0-9,]+) bytes per listener/)
  return found ? Number(found[1].replaceAll(',', '')) : null
}

/** @type {Row[]} */
export const ROWS = [
  {
    name: 'conversation', title: '10,000 listeners hear a conversation',
    shows: 'joined 10,000; loss ≤ 0.0005; latency p99 ≤ 120 ms; longest gap p99 ≤ 200 ms; nothing undecryptable; probes agree; the whole system without the generator ≤ 1.0 core over the 60 s after the last join',
    load: conversation, leading: 'cores of the server',
    figures: [
      joined(10_000), dropped, loss(0.0005), lost, latency(120), gap(200), undecryptable, presenceGaps, agree, cores(1.0),
      generatorCores, perPacket, packets, memory, joinsPerS, firstAudio(), lateTicks, socketDrops,
    ],
  },
  {
    name: 'ramp-700', title: 'The same, 700 joins per second',
    shows: 'joined 10,000; first audio p99 ≤ 1,500 ms; nobody who is in loses a frame',
    ...ramped(700),
  },
  {
    name: 'ramp-1000', title: 'The same, 1,000 joins per second, or as near as two cores allow',
    shows: 'joined 10,000; first audio p99 ≤ 1,500 ms; nobody who is in loses a frame',
    ...ramped(1_000),
  },
  {
    name: 'turns', title: '2,000 listeners, 32 speakers in turn',
    shows: 'loss ≤ 0.0005',
    load: { listeners: 2_000, speakers: 32, talk: 'turns', ramp: 300, duration: 60, framing: 60, probes: 2 },
    leading: 'loss ratio',
    figures: [joined(2_000), loss(0.0005), lost, undecryptable, agree, latency(), gap(), ...bystanders],
  },
  {
    name: 'rooms', title: '100 rooms of two speakers',
    shows: 'stage latency p99 ≤ 15 ms',
    load: { rooms: 100, listeners: 0, speakers: 2, talk: 'conversation', duration: 60, probes: 0 },
    leading: 'stage latency p99, ms',
    figures: [
      { name: 'stage latency p99, ms', of: run => run.report.stage.latency_ms.p99, must: ['<=', 15] },
      { name: 'stage latency p50, ms', of: run => run.report.stage.latency_ms.p50 },
      { name: 'loss ratio', of: run => run.report.stage.loss_ratio },
      { name: 'frames heard', of: run => run.report.stage.frames_received },
      cores(), generatorCores, memory, lateTicks,
    ],
  },
  {
    name: 'all-at-once', title: '8,000 listeners, four speakers at once',
    shows: 'loss ≤ 0.0005; CPU per packet against the one-talker run shows what sending several packets at once (GSO) saves',
    load: { listeners: 8_000, speakers: 4, talk: 'all', ramp: 300, duration: 60, framing: 60, probes: 2 },
    leading: 'loss ratio', against: { row: 'one-talker', figure: 'CPU of the server per packet, µs' },
    figures: [joined(8_000), loss(0.0005), lost, undecryptable, agree, latency(), gap(), ...bystanders],
  },
  {
    name: 'one-talker', title: 'Its companion: 8,000 listeners, one speaker',
    shows: 'nothing by itself: the row above is compared with it',
    load: { listeners: 8_000, speakers: 4, talk: 'monologue', ramp: 300, duration: 60, framing: 60, probes: 2 },
    leading: 'CPU of the server per packet, µs',
    figures: [joined(8_000), loss(0.0005), lost, latency(), gap(), ...bystanders],
  },
  {
    name: 'churn', title: '10,000 listeners for 20 minutes, 50 leaving and coming each second',
    shows: 'memory flat after the first two minutes; no descriptor, task or peer leaked',
    load: { ...conversation, duration: 1_200, churn: 50 }, leading: 'growth of memory from then on',
    figures: [
      { name: 'listeners joined', of: run => run.report.listeners.joined },
      { name: 'left and came', of: run => run.report.listeners.churned },
      { name: 'growth of memory from then on', of: memoryGrowth, must: ['<=', 0.03] },
      ...leaks, dropped, loss(0.0005), lost, undecryptable, failures, ...bystanders,
      { name: 'memory after everybody had gone, MB', of: run => run.left.rss_bytes / 1e6 },
    ],
  },
  {
    name: 'wrap', title: '2,000 listeners at 20 ms framing for 28 minutes', together: true,
    shows: 'every listener past a wrap of its sequence numbers; nothing undecryptable',
    // In its pauses a voice sends little: of one that speaks on, 65,536 packets take 25 minutes. The two probes come on
    // top: their sequence numbers are not looked at.
    load: { listeners: 2_002, speakers: 1, talk: 'monologue', ramp: 300, duration: 1_680, framing: 20, probes: 2 },
    leading: 'loss ratio',
    figures: [
      joined(2_002), undecryptable, wrapped,
      { name: 'streams past a wrap', of: run => run.report.audio.sequence_wraps?.streams },
      { ...loss(0.0005), must: undefined }, lost, agree, ...bystanders,
    ],
  },
  {
    name: 'reconnect', title: '10,000 listeners, everybody reconnects at once',
    shows: 'all back; time until 50 %, 99 % and 100 % hear again',
    load: { ...conversation, duration: 90, 'reconnect-at': 20 }, leading: 'until 99 % hear again, ms',
    figures: [
      { name: 'cut off', of: run => run.report.reconnect.cut },
      { name: 'not back', of: run => run.report.reconnect.cut - run.report.reconnect.back, must: ['=', 0], every: true },
      { name: 'until 50 % hear again, ms', of: run => run.report.reconnect.p50_ms },
      { name: 'until 99 % hear again, ms', of: run => run.report.reconnect.p99_ms },
      { name: 'until 100 % hear again, ms', of: run => run.report.reconnect.all_ms },
      toldToWait, failures, handshakeWait, undecryptable, ...bystanders,
    ],
  },
  {
    name: 'framing-20', title: '10,000 listeners at 20 ms framing, one talker',
    shows: 'as near to loss ≤ 0.001 as two cores allow',
    load: { ...conversation, talk: 'monologue', framing: 20 }, leading: 'loss ratio',
    figures: [joined(10_000), loss(0.001), lost, latency(), gap(), undecryptable, agree, ...bystanders],
  },
  {
    name: 'garbage', title: '10,000 listeners, and 50,000 packets of garbage per second to the edge',
    shows: 'loss ≤ 0.001',
    load: { ...conversation, garbage: 50_000 }, leading: 'loss ratio',
    figures: [
      joined(10_000), dropped, loss(0.001), lost, latency(), gap(), undecryptable, agree,
      { name: 'garbage per second, as reached', of: run => run.report.garbage?.per_s },
      { name: 'answers to garbage', of: run => run.report.garbage?.answers, must: ['=', 0], every: true },
      ...bystanders,
    ],
  },
  {
    name: 'auto', title: '10,000 listeners who leave the framing to the node',
    shows: 'nothing that was promised: which framing `auto` chooses, and what it costs',
    load: Object.fromEntries(Object.entries(conversation).filter(([name]) => name !== 'framing')),
    leading: 'loss ratio',
    figures: [
      joined(10_000), dropped, loss(0.0005), lost, latency(), gap(), undecryptable, agree,
      ...[20, 60, 120].flatMap(ms => [
        { name: `listeners at ${ms} ms at the end`, of: run => run.framing?.[ms] },
        { name: `share of packets at ${ms} ms`, of: run => run.report.audio.framing_share?.[`ms_${ms}`] },
      ]),
      ...bystanders,
    ],
  },
  {
    name: 'fanout', title: 'CPU of the edge for each packet', bench: 'edge fanout',
    shows: 'at most 1.25 × bare `sendmmsg` with AES-GCM in the same run',
    leading: '20 ms: the edge against the floor',
    figures: [
      { name: '20 ms: bare sendmmsg, ns', of: printed('framing_ms=20 ', 'sendmmsg_ns') },
      { name: '20 ms: with AES-GCM (the floor), ns', of: printed('framing_ms=20 ', 'sendmmsg_aes_gcm_ns') },
      { name: '20 ms: the edge, ns', of: printed('framing_ms=20 ', 'edge_ns') },
      { name: '20 ms: the edge against the floor', of: printed('framing_ms=20 ', 'ratio'), must: ['<=', 1.25] },
      { name: '60 ms: the edge against the floor', of: printed('framing_ms=60 voices=1 ', 'ratio'), must: ['<=', 1.25] },
      { name: '60 ms, three voices: the floor, ns', of: printed('framing_ms=60 voices=3 ', 'sendmmsg_aes_gcm_ns') },
      { name: '60 ms, three voices: the edge, ns', of: printed('framing_ms=60 voices=3 ', 'edge_ns') },
      { name: '60 ms, three voices: the edge without GSO, ns', of: printed('framing_ms=60 voices=3 ', 'edge_without_gso_ns') },
      { name: '60 ms, three voices: the edge against the floor', of: printed('framing_ms=60 voices=3 ', 'ratio'), must: ['<=', 1.25] },
    ],
  },
  {
    name: 'memory-edge', title: 'Memory of a listener on the edge', bench: 'edge memory',
    shows: 'at most 20 KB', leading: 'bytes per listener',
    figures: [{ name: 'bytes per listener', of: bytes('memory: edge'), must: ['<=', 20_000] }],
  },
  {
    name: 'memory-signaling', title: 'Memory of a listener in signaling', bench: 'signaling memory',
    shows: 'at most 30 KB', leading: 'bytes per listener',
    figures: [{ name: 'bytes per listener', of: bytes('memory: signaling'), must: ['<=', 30_000] }],
  },
  {
    name: 'memory-generator', title: 'Memory of a listener in the load generator', bench: 'loadgen memory',
    shows: 'nothing that was promised', leading: 'bytes per listener',
    figures: [
      { name: 'bytes per listener', of: bytes('memory: generator') },
      { name: 'the whole server, bytes per listener', of: bytes('memory: server') },
    ],
  },
]
