// The small session description: read out of a browser's SDP offer, and the SDP answer written from it.
//
// Pure: texts and plain objects in, texts and plain objects out. The answer says in *every* section what
// the portable subset needs (credentials, candidates, msid and SSRC), because each browser forgives the
// absence of something else. SDP never leaves the browser.

/** @import { Answer, Offer } from './protocol' */

const LEVEL = 'urn:ietf:params:rtp-hdrext:ssrc-audio-level'
const CNAME = 'dais'

/**
 * What the server must know of an offer with audio sections only.
 * @param {string} sdp
 * @param {20 | 60} [framing] that the listener asks for
 * @returns {Offer}
 */
export function readOffer(sdp, framing) {
  const { session, sections } = split(sdp)
  const first = sections[0]
  if (!first) throw new Error('the offer has no audio section')
  const find = (/** @type {RegExp} */ pattern) => match(first, pattern) ?? match(session, pattern)
  const opus = codec(first, 'opus/48000/2')
  const print = find(/^a=fingerprint:sha-256 (\S+)/im)
  const ufrag = find(/^a=ice-ufrag:(\S+)/m)
  const pwd = find(/^a=ice-pwd:(\S+)/m)
  if (!opus || !print || !ufrag || !pwd) throw new Error('the offer lacks Opus, a fingerprint or ICE credentials')
  const red = redAround(first, opus)
  const level = levelId(first)
  return {
    ufrag,
    pwd,
    fingerprint: toBase64Url(print),
    opus,
    ...(red && { red }),
    ...(level && { level_ext: level }),
    ...(first.includes(`\na=rtcp-fb:${opus} nack`) && { nack: true }),
    lines: sections.filter(section => !isSending(section)).length,
    ...(framing && { framing }),
  }
}

/**
 * The SDP answer to our own `offer`, from what the server answered.
 * @param {string} offer
 * @param {Answer} answer
 */
export function writeAnswer(offer, answer) {
  const { sections } = split(offer)
  const mids = sections.map(section => match(section, /^a=mid:(\S+)/m) ?? '0')
  const ssrcs = [...answer.ssrcs]
  const transport = transportLines(answer)
  const lines = [
    'v=0', 'o=dais 1 1 IN IP4 127.0.0.1', 's=-', 't=0 0',
    'a=ice-lite', `a=group:BUNDLE ${mids.join(' ')}`, 'a=msid-semantic:WMS *',
  ]
  sections.forEach((section, index) => {
    const mid = mids[index] ?? '0'
    const sends = isSending(section)
    lines.push(...(sends ? micLines(section, answer) : voiceLines(section, mid, ssrcs.shift())))
    lines.push(`a=mid:${mid}`, ...transport)
  })
  return lines.join('\r\n') + '\r\n'
}

/** Towards a microphone: in-band FEC and DTX asked for, RED first where the server takes it. */
function micLines(/** @type {string} */ section, /** @type {Answer} */ answer) {
  const opus = codec(section, 'opus/48000/2')
  const red = answer.red ? redAround(section, opus) : undefined
  return [
    `m=audio 9 UDP/TLS/RTP/SAVPF ${red ? `${red} ` : ''}${opus}`,
    'c=IN IP4 0.0.0.0',
    'a=recvonly',
    ...opusLines(section, opus, 'minptime=10;useinbandfec=1;usedtx=1'),
    ...(red ? [`a=rtpmap:${red} red/48000/2`, `a=fmtp:${red} ${opus}/${opus}`] : []),
    ...(section.includes(`\na=rtcp-fb:${opus} nack`) ? [`a=rtcp-fb:${opus} nack`] : []),
  ]
}

/** From a voice: its SSRC stays the same for good. */
function voiceLines(/** @type {string} */ section, /** @type {string} */ mid, /** @type {number | undefined} */ ssrc) {
  const opus = codec(section, 'opus/48000/2')
  const head = ['m=audio 9 UDP/TLS/RTP/SAVPF ' + opus, 'c=IN IP4 0.0.0.0']
  const codecs = opusLines(section, opus, 'minptime=10;useinbandfec=1')
  if (ssrc === undefined) return [...head, 'a=inactive', ...codecs]
  return [...head, 'a=sendonly', ...codecs, `a=msid:voices voice-${mid}`, `a=ssrc:${ssrc} cname:${CNAME}`]
}

/** @param {string} section @param {number | undefined} opus @param {string} parameters */
function opusLines(section, opus, parameters) {
  const level = levelId(section)
  return [
    `a=rtpmap:${opus} opus/48000/2`,
    `a=fmtp:${opus} ${parameters}`,
    ...(level ? [`a=extmap:${level} ${LEVEL}`] : []),
  ]
}

/** @param {Answer} answer */
function transportLines(answer) {
  const candidates = answer.candidates.filter(candidate => candidate.protocol === 'udp')
  return [
    'a=rtcp-mux', 'a=rtcp-rsize', 'a=setup:passive',
    `a=ice-ufrag:${answer.ufrag}`, `a=ice-pwd:${answer.pwd}`,
    `a=fingerprint:sha-256 ${fromBase64Url(answer.fingerprint)}`,
    ...candidates.map(({ ip, port }, index) => {
      const priority = (126 << 24) + ((65535 - index) << 8) + 255
      return `a=candidate:${index + 1} 1 udp ${priority} ${ip} ${port} typ host`
    }),
    'a=end-of-candidates',
  ]
}

/** @param {string} sdp */
function split(sdp) {
  const [session = '', ...sections] = sdp.split(/^(?=m=)/m)
  return { session, sections: sections.filter(section => section.startsWith('m=audio')) }
}

function match(/** @type {string} */ text, /** @type {RegExp} */ pattern) {
  return pattern.exec(text)?.[1]
}

function isSending(/** @type {string} */ section) {
  return /^a=send(only|recv)\r?$/m.test(section)
}

/** Payload type of a codec. @param {string} section @param {string} name */
function codec(section, name) {
  const pattern = new RegExp(`^a=rtpmap:(\\d+) ${name}`, 'im')
  const type = match(section, pattern)
  return type ? Number(type) : undefined
}

/** Payload type of RED whose blocks are `opus`. @param {string} section @param {number | undefined} opus */
function redAround(section, opus) {
  const red = codec(section, 'red/48000/2')
  return red && section.includes(`\na=fmtp:${red} ${opus}/${opus}`) ? red : undefined
}

function levelId(/** @type {string} */ section) {
  const id = match(section, new RegExp(`^a=extmap:(\\d+)(?:/\\w+)? ${LEVEL}`, 'm'))
  return id ? Number(id) : undefined
}

/** @param {string} hex bytes with colons between */
function toBase64Url(hex) {
  const bytes = hex.split(':').map(byte => String.fromCharCode(parseInt(byte, 16)))
  return btoa(bytes.join('')).replace(/\+/g, '-').replace(/\//g, '_').replace(/=+$/, '')
}

function fromBase64Url(/** @type {string} */ text) {
  const bytes = atob(text.replace(/-/g, '+').replace(/_/g, '/'))
  return [...bytes].map(byte => byte.charCodeAt(0).toString(16).padStart(2, '0').toUpperCase()).join(':')
}
