// Somebody at the town hall, in a real browser: what they do and what they hear, through nothing but the
// SDK's public face.

import { readFileSync } from 'node:fs'

import { chromium } from 'playwright-core'
import puppeteer from 'puppeteer-core'

import { openSoundCard } from './sound.js'
import { eventually } from './town.js'

const INSIDE = readFileSync(new URL('inside.js', import.meta.url), 'utf8')
/** Where playwright-core's Chromium dies before anything of ours runs, which happens once in seven. */
const LAUNCHES = 5

/** @returns a browser whose `person()` opens a tab of its own */
export async function openChromium() {
  const browser = await again(() => chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox', '--autoplay-policy=no-user-gesture-required', '--disable-background-timer-throttling',
      '--disable-renderer-backgrounding', '--disable-backgrounding-occluded-windows'],
    timeout: 20_000,
  }))
  return {
    async person(town) {
      const context = await browser.newContext({ bypassCSP: true })
      await context.addInitScript({ content: INSIDE })
      return new Person(town, await context.newPage())
    },
    close: () => browser.close(),
  }
}

/** The same with Firefox, over WebDriver BiDi. */
export async function openFirefox() {
  const sound = await openSoundCard()
  const browser = await again(() => puppeteer.launch({
    browser: 'firefox',
    executablePath: process.env.FIREFOX ?? '/usr/bin/firefox-esr',
    headless: true,
    env: { ...process.env, ...sound.env },
    extraPrefsFirefox: {
      'media.peerconnection.ice.loopback': true,
      'permissions.default.microphone': 1,
      'media.autoplay.default': 0,
      'media.autoplay.blocking_policy': 0,
    },
  }))
  return {
    async person(town) {
      const page = await browser.newPage()
      await page.evaluateOnNewDocument(INSIDE)
      return new Person(town, page)
    },
    async close() {
      await browser.close()
      sound.close()
    },
  }
}

async function again(launch) {
  for (let tries = 1; ; tries++) {
    try {
      return await launch()
    } catch (error) {
      if (tries === LAUNCHES) throw error
    }
  }
}

export class Person {
  constructor(town, page) {
    this.town = town
    this.page = page
    page.on('console', message => process.env.DAIS_SHOW && console.error('page:', message.text()))
    page.on('pageerror', error => { this.broken = error })
  }

  /**
   * Joins; `tone` in Hz makes them whistle it into their microphone, `reroute` maps the nodes' ports to others.
   * @param {{ token: string, name?: string, tone?: number, framing?: 20 | 60, reroute?: Record<number, number> }} options
   */
  async join(options) {
    this.options = options
    // Any document of the same origin will do; this one runs nothing by itself.
    await this.page.goto(`${this.town.url}/sdk/v1/dais.js`)
    await this.#enter()
    return this
  }

  async #enter() {
    await this.page.evaluate(async ({ tone, reroute, ...options }) => {
      window.probe.reroute = reroute
      const { Dais } = await import('/sdk/v1/dais.js')
      const microphone = tone ? window.probe.whistle(tone) : undefined
      const room = window.room = await Dais.join({ ...options, microphone })
      window.events = []
      const types = ['state', 'room', 'stage', 'invited', 'promoted', 'demoted', 'muted', 'removed']
      types.forEach(type => room.addEventListener(type, () => window.events.push(type)))
      window.ear = new window.probe.Ear(room.stream)
    }, this.options)
    await eventually(`${this.options.name} has audio`, () => this.page.evaluate(async () => (await window.room.stats()).node !== ''))
  }

  /** Loads the page again and joins as before. */
  async reload() {
    await this.page.reload()
    await this.#enter()
  }

  /** Evaluates `act` with the room. */
  do(act, argument) {
    return this.page.evaluate(`(${act})(window.room, ${JSON.stringify(argument)})`)
  }

  get me() {
    return this.do(room => room.me)
  }

  stats() {
    return this.do(room => room.stats())
  }

  /** Which of these tones they hear, lowest first. */
  async hears(among) {
    return (await this.page.evaluate(tones => window.ear.hears(tones), among)).tones
  }

  /** Waits until they hear exactly these tones of `among`, and that the strongest is one of them. */
  async untilHears(tones, among) {
    let last
    await eventually(`${this.options.name} hears ${tones} and nothing else`, async () => {
      last = await this.page.evaluate(list => window.ear.hears(list), among)
      const strongest = tones.length === 0 ? last.decibels < -60 : tones.some(hz => Math.abs(hz - last.strongest) < 6)
      return String(last.tones) === String(tones) && strongest
    }).catch(error => {
      throw new Error(`${error.message}; it was ${JSON.stringify(last)}`)
    })
  }

  /** Waits for something the SDK says, such as `room.me.onStage`. */
  until(what, ask, argument) {
    return eventually(`${this.options.name}: ${what}`, () => this.do(ask, argument))
  }

  /** Peer connections made so far, with the descriptions each was given. */
  negotiations() {
    return this.page.evaluate(() => window.probe.peers.map(peer => peer.descriptions))
  }

  /** Samples that had to be made up, and packets lost, since the beginning. */
  damage() {
    return this.page.evaluate(async () => {
      const sum = { concealed: 0, lost: 0, packets: 0 }
      for (const peer of window.probe.peers) {
        for (const one of (await peer.getStats()).values()) {
          if (one.type !== 'inbound-rtp') continue
          sum.concealed += one.concealedSamples - one.silentConcealedSamples
          sum.lost += one.packetsLost
          sum.packets += one.packetsReceived
        }
      }
      return sum
    })
  }
}
