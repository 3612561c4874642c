import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { gzipSync } from 'node:zlib'

const read = (/** @type {string} */ path) => readFileSync(new URL(`../${path}`, import.meta.url), 'utf8')
const files = (/** @type {string} */ folder) => readdirSync(new URL(`../${folder}`, import.meta.url)).map(name => `${folder}/${name}`)
const scripts = [...files('sdk'), ...files('page')].filter(name => name.endsWith('.js'))

const wire = (/** @type {string[]} */ names) => names.reduce((sum, name) => sum + gzipSync(read(name)).length, 0)

test('the first view is below 60 KB on the wire, and all that a visitor ever loads not much above', () => {
  const preloaded = [...read('index.html').matchAll(/(?:href|src)="\/(.+?)"/g)].map(match => (match[1] ?? '').replace('sdk/v1/', 'sdk/'))
  assert.ok(preloaded.includes('page/main.js') && preloaded.includes('page/page.css'))
  const first = wire(['index.html', ...preloaded])
  assert.ok(first < 50_000, `${first} bytes`)
  const all = wire(['index.html', 'page/page.css', 'page/icon.svg', ...scripts])
  assert.ok(all < 65_000, `${all} bytes`)
})

test('the browser is told at once of every module that the first view needs', () => {
  const page = read('index.html')
  const wanted = scripts.filter(name => name.startsWith('sdk/')).map(name => name.replace('sdk/', '/sdk/v1/'))
  wanted.forEach(path => assert.ok(page.includes(`<link rel="modulepreload" href="${path}">`), path))
})

test('nothing is asked of anybody else, and nothing is inline', () => {
  for (const name of ['index.html', 'page/page.css', ...scripts]) {
    const outside = read(name).replaceAll('http://www.w3.org/2000/svg', '').match(/\bhttps?:\/\/[\w.-]+\.\w+/g) ?? []
    assert.deepEqual(outside.filter(url => !url.includes('webrtc.org') && !url.includes('ietf.org')), [], name)
  }
  assert.ok(!/<script(?![^>]* src=)|<style|\sstyle=|\son\w+=/.test(read('index.html')))
})

test('the stylesheet reads in both directions', () => {
  const physical = read('page/page.css').match(/(?<![\w-])(?:(?:margin|padding|border|inset)-(?:left|right)|left|right|text-align: (?:left|right))\s*:/g)
  assert.equal(physical, null)
})

test('every icon and word that is used exists', () => {
  const defined = new Set([...read('page/dom.js').matchAll(/^ {2}(\w+): 'M/gm)].map(match => match[1]))
  const used = scripts.flatMap(name => [...read(name).matchAll(/(?:icon|button|item|show)\('(\w+)'/g)].map(match => match[1]))
  assert.deepEqual(used.filter(name => !defined.has(name)), [])
})
