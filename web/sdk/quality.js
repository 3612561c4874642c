// What a listener hears, in numbers, from two looks at the browser's statistics. Pure.

/**
 * @typedef {object} Heard what the voices were like between two looks
 * @property {number} loss share of the packets that were lost
 * @property {number} concealed share of the samples that were made up
 * @property {number} jitterMs
 * @property {number} delayMs how long packets waited in the jitter buffer
 * @property {number} packets that came
 * @property {number} bitsPerSecond
 */

/**
 * @param {any[]} before `inbound-rtp` entries of an earlier report
 * @param {any[]} after the same, later
 * @param {number} elapsedMs between the two
 * @returns {Heard}
 */
export function heard(before, after, elapsedMs) {
  const sum = (/** @type {string} */ field) => total(after, field) - total(before, field)
  const packets = sum('packetsReceived')
  const lost = Math.max(0, sum('packetsLost'))
  const emitted = sum('jitterBufferEmittedCount')
  const concealed = Math.max(0, sum('concealedSamples') - sum('silentConcealedSamples'))
  const active = after.filter(voice => voice.packetsReceived > (same(before, voice)?.packetsReceived ?? 0))
  return {
    loss: share(lost, packets + lost),
    concealed: share(concealed, sum('totalSamplesReceived')),
    jitterMs: 1000 * Math.max(0, ...active.map(voice => voice.jitter ?? 0)),
    delayMs: emitted > 0 ? 1000 * sum('jitterBufferDelay') / emitted : 0,
    packets,
    bitsPerSecond: share(8000 * sum('bytesReceived'), elapsedMs),
  }
}

/**
 * Three grades, so that people need not know what jitter is.
 * @param {Heard} heard
 * @returns {'good' | 'fair' | 'poor'}
 */
export function grade({ loss, concealed }) {
  if (loss < 0.02 && concealed < 0.01) return 'good'
  return loss < 0.1 && concealed < 0.05 ? 'fair' : 'poor'
}

function total(/** @type {any[]} */ voices, /** @type {string} */ field) {
  return voices.reduce((sum, voice) => sum + (voice[field] ?? 0), 0)
}

function same(/** @type {any[]} */ voices, /** @type {any} */ voice) {
  return voices.find(other => other.id === voice.id)
}

const share = (/** @type {number} */ part, /** @type {number} */ whole) => whole > 0 ? part / whole : 0
