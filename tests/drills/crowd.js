// A crowd in a process of its own, so that its work is nobody else's: guests without media, who come and raise their
// hands evenly within a second, and a host at each signaling node who watches.
//
//   storm.js ── arrive, raise, look ──▶ crowd.js ── WebSockets ──▶ signaling nodes
//            ◀── what came of it ─────

import { Stranger } from './stranger.js'

/** Within which all of them do it. */
const WITHIN_MS = 1_000

/** @type {Stranger[]} */
let guests = []
/**
 * Of each host: the hands that they were told, each with its turn. A node that had to load the room tells some again.
 * @type {Map<string, any>[]}
 */
let told = []

const STEPS = {
  /** @param {{ urls: string[], hosts: string[], pass: string, people: number }} asked */
  async arrive({ urls, hosts, pass, people }) {
    told = urls.map(() => new Map())
    const watchers = await Promise.all(urls.map((url, index) => Stranger.at(url, hosts[index], message => {
      if (message.type === 'hands') message.up.forEach(hand => told[index].set(`${hand.identity} ${hand.turn}`, hand))
    })))
    const out = watchers.find(watcher => !watcher.isIn)
    if (out) throw new Error(`a host is not let in: ${JSON.stringify(out.answer)}`)
    const came = await evenly(Array.from({ length: people }, (_, index) => async () => {
      const guest = await Stranger.at(urls[index % urls.length], pass)
      guests.push(guest)
      return guest.isIn ? undefined : guest.answer.code
    }))
    guests = guests.filter(guest => guest.isIn)
    return { ...came, identities: guests.map(guest => guest.answer.you.identity) }
  },

  raise() {
    return evenly(guests.map(guest => async () => {
      const { type, code } = await guest.ask({ type: 'raise_hand' })
      return type === 'ok' ? undefined : code
    }))
  },

  look() {
    return { told: told.map(hands => [...hands.values()]) }
  },
}

/**
 * Does things evenly within their time: after how long all were done, how long each took, and why some were not.
 * @param {(() => Promise<string | undefined>)[]} things each returns why it was not done
 */
async function evenly(things) {
  const began = performance.now()
  const took = []
  const refused = []
  await Promise.all(things.map(async (thing, index) => {
    await new Promise(resolve => { setTimeout(resolve, index * WITHIN_MS / things.length) })
    const since = performance.now()
    const why = await thing()
    if (why) refused.push(why)
    else took.push(performance.now() - since)
  }))
  return { ms: performance.now() - began, took, refused }
}

process.on('message', async (/** @type {{ step: keyof STEPS, asked: any }} */ { step, asked }) => {
  try {
    process.send?.({ done: await STEPS[step](asked) })
  } catch (error) {
    process.send?.({ error: error.message })
  }
})
