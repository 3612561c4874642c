// What is read by tools that make or start something: the image's recipe, and units of systemd.

import assert from 'node:assert/strict'
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, test } from 'node:test'

import { path, read, run, scratch } from './files.js'

const directory = scratch(after)
const has = async command => (await run(command, ['--version'])).code === 0

test('the recipe of the image has no fault that a linter knows', async () => {
  const { code, said } = await run('hadolint', ['Dockerfile'])
  assert.equal(code, 0, said)
})

test('the image is built by the Rust that the program asks for, from everything that the workspace has', () => {
  const [, version] = /^rust-version = "(.*)"$/m.exec(read('Cargo.toml'))
  assert.match(read('Dockerfile'), new RegExp(`^FROM rust:${version.replaceAll('.', '\\.')}\\.\\d+-slim-\\w+ AS build$`, 'm'))
  const [, members] = /^members = \[(.*)\]$/m.exec(read('Cargo.toml'))
  const kept = read('.dockerignore').split('\n')
  const folders = ['Cargo.toml', 'Cargo.lock', 'web', ...[...members.matchAll(/"([a-z]+)[^"]*"/g)].map(([, name]) => name)]
  assert.deepEqual(folders.filter(folder => !kept.includes(`!${folder}`)), [])
})

for (const unit of readdirSync(path('deploy/systemd'))) {
  test(`systemd takes ${unit}`, async t => {
    if (!await has('systemd-analyze')) return t.skip('there is no systemd here')
    // Without the program in its place, which it would miss.
    const copy = join(directory, unit)
    writeFileSync(copy, read(`deploy/systemd/${unit}`).replace('ExecStart=/usr/local/bin/dais', 'ExecStart=/bin/true'))
    const { code, said } = await run('systemd-analyze', ['verify', '--man=no', copy])
    assert.deepEqual({ code, said }, { code: 0, said: '' })
  })

  test(`${unit} waits for people to go`, () => {
    const part = /^dais-(\w+)\.service$/.exec(unit)[1]
    const text = read(`deploy/systemd/${unit}`)
    assert.ok(text.includes(`ExecStart=/usr/local/bin/dais ${part} --config /etc/dais/${part}.toml\n`))
    const [, stop] = /^TimeoutStopSec=(\d+)s$/m.exec(text)
    const [, drain] = /^drain = "(\d+)s"$/m.exec(read(`deploy/${part}.toml`))
    assert.ok(Number(stop) > Number(drain) + 5, `${stop} s are too few for a drain of ${drain} s`)
  })
}
