import assert from 'node:assert/strict'
import { beforeEach, test } from 'node:test'

import { ResumeToken } from '../sdk/resume.js'

/** @type {Map<string, string>} */
let storage
/** @type {Map<string, (() => void)[]>} */
let listeners

beforeEach(() => {
  storage = new Map()
  load()
})

/** Another page of the same tab: only the storage is as it was. */
function load() {
  listeners = new Map()
  Object.assign(globalThis, {
    sessionStorage: {
      getItem: (/** @type {string} */ key) => storage.get(key) ?? null,
      setItem: (/** @type {string} */ key, /** @type {string} */ value) => storage.set(key, value),
      removeItem: (/** @type {string} */ key) => storage.delete(key),
    },
    addEventListener: (/** @type {string} */ type, /** @type {() => void} */ then) => listeners.set(type, [...listeners.get(type) ?? [], then]),
    removeEventListener: () => {},
  })
}

let pages = 0
/** The page goes, and the next one looks. @param {ResumeToken} [last] */
function next(last, url = 'ws://server/v1/join') {
  if (last) {
    listeners.get('pagehide')?.forEach(then => then())
    last.forget()
    load()
  }
  return new ResumeToken(url, 'token', () => pages++ % 2 === 0)
}

test('a reload before the answer came shows the same token again', () => {
  const first = next()
  first.value = 'a'
  const second = next(first)
  assert.equal(second.value, 'a')
  const third = next(second)
  assert.equal(third.value, 'a', 'nothing has taken its place')
  third.value = 'b'
  assert.equal(next(third).value, 'b')
})

test('whether one was muted is kept beside it', () => {
  pages = 0
  const first = next()
  assert.equal(first.wasMuted, false)
  first.value = 'a'
  const second = next(first)
  assert.equal(second.wasMuted, true)
  assert.equal(next(second).wasMuted, false)
})

test('nothing lies about while a page is open: a tab that is duplicated then is somebody else', () => {
  const first = next()
  first.value = 'a'
  next(first)
  assert.equal(storage.size, 0)
})

test('whoever could not come in keeps it for the next try on the same page, and forgets it for good otherwise', () => {
  const first = next(undefined, 'ws://one')
  first.value = 'a'
  first.keep()
  const second = next(undefined, 'ws://one')
  assert.equal(second.value, 'a')
  second.forget()
  assert.equal(next(undefined, 'ws://one').value, undefined)
})
