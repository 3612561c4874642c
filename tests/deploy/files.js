// The files that deploy a cluster, and how they are read.

import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../', import.meta.url))
export const path = name => join(ROOT, name)
export const read = name => readFileSync(path(name), 'utf8')

/** A directory for as long as a test file runs. */
export function scratch(after) {
  const directory = mkdtempSync(join(tmpdir(), 'dais-deploy-'))
  after(() => rmSync(directory, { recursive: true, force: true }))
  return directory
}

/**
 * Runs a program: how it ended and all that it said. A variable of whoever runs the tests would be taken for one of `.env`, so it gets none.
 * @param {string} command @param {string[]} args @param {Record<string, string>} [env]
 * @returns {Promise<{ code: number | string, said: string, out: string }>}
 */
export function run(command, args, env = {}) {
  const { PATH, HOME } = process.env
  return new Promise(resolve => {
    execFile(command, args, { cwd: ROOT, env: { PATH, HOME, ...env } }, (error, out, err) => {
      resolve({ code: error ? error.code ?? String(error) : 0, said: `${err}${out}`.trim(), out })
    })
  })
}

/** What `.env.example` asks for. */
export const ASKED = [...read('.env.example').matchAll(/^(\w+)=$/gm)].map(([, name]) => name)

/** Values for all of it. To NATS the password would be a number, unless it is quoted. */
export const FILLED = Object.fromEntries(ASKED.map(name => [name, '1e5'.padEnd(40, '0')]))
FILLED.DAIS_PUBLIC_IP = '203.0.113.7'
FILLED.DAIS_PUBLIC_URL = 'https://halls.example.org'

/** What Compose makes of docker-compose.yml. @param {string} directory for the file of values @param {Record<string, string>} values */
export function compose(directory, values) {
  const file = join(directory, 'env')
  writeFileSync(file, Object.entries(values).map(([name, value]) => `${name}=${value}\n`).join(''))
  return run('docker-compose', ['--env-file', file, 'config', '--format', 'json'])
}

/** All that the compose file describes. @returns {Promise<{ services: Record<string, any>, networks: Record<string, any> }>} */
export async function described(directory) {
  const { code, said, out } = await compose(directory, FILLED)
  if (code !== 0) throw new Error(`docker-compose.yml: ${said}`)
  return JSON.parse(out)
}
