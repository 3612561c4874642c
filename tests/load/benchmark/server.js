// A `dais up` for one run, as the documentation starts it, and what /proc and /metrics say about it. Whatever is
// started here ends with this process.

import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, readdirSync, readFileSync, readlinkSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

export const ROOT = fileURLToPath(new URL('../../..', import.meta.url))
export const PROGRAM = 'target/release/dais'

/** So many seconds after the end of a run, nobody may be there any more: consent ends after 30 s. */
const GONE_S = 60

const children = new Set()
process.on('exit', () => children.forEach(child => child.kill('SIGKILL')))
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) process.on(signal, () => process.exit(1))

/**
 * Starts a program of this repository; it dies with us at the latest.
 * @param {string} program @param {string[]} args @param {object} [more] of the environment
 */
export function start(program, args, more = {}) {
  const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, ...more } })
  children.add(child)
  let [out, err] = ['', '']
  child.stdout.on('data', text => { out += text })
  child.stderr.on('data', text => { err += text })
  child.ended = new Promise(resolve => {
    child.on('error', error => resolve({ code: error.message, out, err }))
    child.on('close', (code, signal) => resolve({ code: code ?? signal, out, err }))
  }).finally(() => children.delete(child))
  return child
}

/** Waits for the end of a program, and ends it when that takes too long. */
export async function finish(child, seconds) {
  const timer = setTimeout(() => child.kill('SIGKILL'), seconds * 1_000)
  const ended = await child.ended
  clearTimeout(timer)
  if (ended.code !== 0) throw new Error(`${child.spawnargs.join(' ')} ended with ${ended.code}:\n${ended.err.slice(-4_000)}`)
  return ended
}

/** @returns {string[]} processes of this program that run already */
export function others() {
  const name = pid => {
    try { return readlinkSync(`/proc/${pid}/exe`).replace(/ \(deleted\)$/, '') } catch { return '' }
  }
  return readdirSync('/proc').filter(pid => /^\d+$/.test(pid) && name(pid).endsWith('/dais'))
}

export class Server {
  /** @param {number} port of HTTP; the others follow from it @param {string[]} options more of the command line */
  static async start(port, options) {
    const server = new Server()
    server.url = `http://127.0.0.1:${port}`
    server.admin = `http://127.0.0.1:${port + 1}`
    server.keys = { DAIS_API_KEY: 'bench', DAIS_API_SECRET: randomBytes(32).toString('base64') }
    server.args = ['up', ...port === 7000 ? [] : places(port), ...options]
    server.process = start(PROGRAM, server.args, server.keys)
    await server.until('it is ready', 30, () => server.ready())
    return server
  }

  async ready() {
    if (this.process.exitCode !== null) throw new Error(`the server ended: ${(await this.process.ended).err}`)
    return await fetch(`${this.admin}/ready`).then(answer => answer.ok, () => false)
  }

  /** Every series of a metric. @returns {Promise<{ series: string, value: number }[]>} */
  async metrics() {
    const text = await (await fetch(`${this.admin}/metrics`)).text()
    const lines = text.split('\n').filter(line => line && !line.startsWith('#'))
    return lines.map(line => ({ series: line.slice(0, line.lastIndexOf(' ')), value: Number(line.slice(line.lastIndexOf(' ') + 1)) }))
  }

  /** What it holds now. */
  async holdings() {
    const metrics = await this.metrics()
    const total = name => metrics.filter(one => one.series.split('{')[0] === name).reduce((sum, one) => sum + one.value, 0)
    return {
      peers: total('dais_edge_listeners') + total('dais_origin_speakers'),
      participants: total('dais_signaling_participants'),
      files: readdirSync(`/proc/${this.process.pid}/fd`).length,
      tasks: total('process_tasks'),
      rss_bytes: total('process_resident_memory_bytes'),
    }
  }

  /** What is left of a run, once everybody should have gone. @param {Awaited<ReturnType<Server['holdings']>>} before */
  async left(before) {
    let left
    const gone = async () => {
      const now = await this.holdings()
      left = { ...now, files: now.files - before.files, tasks: now.tasks - before.tasks }
      return left.peers === 0 && left.participants === 0 && left.files <= 0 && left.tasks <= 0
    }
    await this.until('everybody is gone', GONE_S, gone).catch(() => {})
    return left
  }

  /** Listeners by framing, as the edges count them. @returns {Promise<Record<string, number>>} */
  async framing() {
    const counts = {}
    for (const { series, value } of await this.metrics()) {
      const ms = series.match(/^dais_edge_framing_listeners\{.*framing="(\d+)"/)?.[1]
      if (ms) counts[ms] = (counts[ms] ?? 0) + value
    }
    return counts
  }

  async until(what, seconds, ask) {
    const end = Date.now() + seconds * 1_000
    while (!await ask()) {
      if (Date.now() > end) throw new Error(`not within ${seconds} s: ${what}`)
      await pause(0.2)
    }
  }

  async stop() {
    this.process.kill('SIGTERM')
    const killer = setTimeout(() => this.process.kill('SIGKILL'), 20_000)
    await this.process.ended
    clearTimeout(killer)
  }
}

function places(port) {
  const at = more => `127.0.0.1:${port + more}`
  return ['--listen', at(0), '--admin', at(1), '--media', at(100), '--link', at(200)]
}

export const pause = seconds => new Promise(resolve => { setTimeout(resolve, seconds * 1_000) })

export const isBuilt = () => existsSync(`${ROOT}/${PROGRAM}`)

/** CPU of the whole machine so far, in seconds: what was used, and what the host took away (steal). */
export function cpu() {
  const ticks = readFileSync('/proc/stat', 'utf8').split('\n')[0].trim().split(/\s+/).slice(1).map(Number)
  const [user, nice, system, , , irq, softirq, steal] = ticks
  return { used: (user + nice + system + irq + softirq) / 100, stolen: steal / 100 }
}

/** What the kernel allows, where it matters here. */
export function settings() {
  const names = ['net.core.rmem_max', 'net.core.wmem_max', 'net.core.somaxconn']
  return Object.fromEntries(names.map(name => [name, Number(readFileSync(`/proc/sys/${name.replaceAll('.', '/')}`, 'utf8'))]))
}

/** The machine that measures, for rows without a report. */
export function machine() {
  const cpus = readFileSync('/proc/cpuinfo', 'utf8')
  const kernel = readFileSync('/proc/sys/kernel/osrelease', 'utf8').trim()
  return {
    cores: cpus.match(/^processor/gm).length,
    model: cpus.match(/^model name\s*: (.*)$/m)?.[1] ?? 'unknown',
    kernel: `linux ${kernel}`,
    memory_bytes: 1_024 * Number(readFileSync('/proc/meminfo', 'utf8').match(/MemTotal:\s+(\d+)/)[1]),
  }
}
