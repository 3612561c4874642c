// Somebody at the stage page, with its links, buttons and keys, in a browser with a pretended microphone.

import { readFileSync } from 'node:fs'

import { chromium } from 'playwright-core'

const INSIDE = ['inside.js', 'microphones.js'].map(name => readFileSync(new URL(name, import.meta.url), 'utf8')).join(';\n')

/** About one launch in seven dies before anything of ours runs. */
export async function launch(tries = 5) {
  const args = ['--no-sandbox', '--use-fake-ui-for-media-stream', '--use-fake-device-for-media-stream']
  return await chromium.launch({ executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium', args, timeout: 20_000 })
    .catch(error => {
      if (tries === 1) throw error
      return launch(tries - 1)
    })
}

/**
 * A person with a link. What breaks in their page, breaks the test that looks at `broken`.
 * @param {import('playwright-core').Browser} browser
 * @param {string} url of the server, or of a cable to it
 * @param {string} token
 */
export async function visit(browser, url, token, viewport = { width: 1280, height: 800 }) {
  const context = await browser.newContext({ viewport, permissions: ['microphone'] })
  await context.addInitScript({ content: INSIDE })
  const page = await context.newPage()
  page.setDefaultTimeout(15_000)
  page.broken = []
  page.on('pageerror', error => page.broken.push(error))
  page.on('console', message => process.env.DAIS_SHOW && console.error('page:', message.text()))
  page.bytes = 0
  const wire = await context.newCDPSession(page)
  await wire.send('Network.enable')
  wire.on('Network.loadingFinished', ({ encodedDataLength }) => { page.bytes += encodedDataLength })
  await page.goto(`${url}/#token=${token}`)
  return page
}

export const says = (page, selector, text) => page.locator(selector, { hasText: text }).first().waitFor()
export const press = (page, name) => page.getByRole('button', { name, exact: true }).first().click()
export const tile = name => `.tile:has-text("${name}")`

/** Out of the green room by this button, once the microphone is seen. */
export async function throughTheGreenRoom(page, button, { muted = true } = {}) {
  await says(page, 'dialog', 'We can hear you')
  if (!muted) await page.getByText('Arrive muted').click()
  await page.locator('dialog').getByRole('button', { name: button }).click()
}
