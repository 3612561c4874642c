// Measures the rows of docs/benchmarks.md, each several times, and writes that page.
//
//   for each run: a fresh server ─▶ `dais load` ─▶ report, and what is left behind
//
// Times depend on the machine; nothing here is part of `make test`.

import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { measureAll } from './measure.js'
import { BENCHMARKS, write } from './page.js'
import { options, patience, ROWS, scaled } from './rows.js'
import { finish, isBuilt, pause, PROGRAM, ROOT, Server, start } from './server.js'

const HELP = `Usage: tests/load/benchmarks [OPTIONS]

Measures the rows of docs/benchmarks.md and writes their reports to docs/benchmarks/. Takes hours; use a machine
that has nothing else to do. It starts and stops its own servers.

  --only ROW      Only this row; may repeat
  --list          Print the rows
  --runs N        Runs of each row [3]
  --scale F       So much of people and time, to try the script out: writes to target/benchmarks instead
  --port N        Of HTTP; the other ports follow from it [7000]
  --page          Only write docs/benchmarks.md anew from what was measured before
`

/** Runs side by side have their ports so far apart. */
const PORTS = 10

const { values: asked } = parseArgs({
  options: {
    only: { type: 'string', multiple: true }, list: { type: 'boolean' }, runs: { type: 'string', default: '3' },
    scale: { type: 'string', default: '1' }, port: { type: 'string', default: '7000' }, page: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})
const [runs, scale, port] = [Number(asked.runs), Number(asked.scale), Number(asked.port)]
const directory = scale === 1 ? 'docs' : 'target/benchmarks'

await main().catch(error => {
  console.error(`benchmarks: ${error.message}`)
  process.exit(1)
})

async function main() {
  if (asked.help) return console.log(HELP)
  if (asked.list) return ROWS.forEach(row => console.log(`${row.name.padEnd(18)} ${row.title}`))
  const unknown = asked.only?.find(name => !ROWS.some(row => row.name === name))
  if (unknown) throw new Error(`there is no row ${unknown}: see --list`)
  mkdirSync(join(ROOT, directory), { recursive: true })
  const rows = ROWS.filter(row => asked.only?.includes(row.name) ?? true).map(row => scaled(row, scale))
  const run = (row, number) => row.bench ? runBench(row) : runLoad(row, port + number * PORTS)
  if (!asked.page && !isBuilt()) throw new Error(`there is no ${PROGRAM}: cargo build --release`)
  if (!asked.page) await measureAll({ rows, part: BENCHMARKS, directory, runs, run })
  write(directory, BENCHMARKS)
}

async function runLoad(row, port) {
  const server = await Server.start(port, row.server ?? [])
  const reports = mkdtempSync(join(tmpdir(), 'dais-benchmark-'))
  try {
    const before = await server.holdings()
    const load = ['load', '--url', server.url, '--metrics', `${server.admin}/metrics`, ...options(row)]
    const generator = start(PROGRAM, [...load, '--report', reports], server.keys)
    const framing = watchFraming(server, generator)
    await finish(generator, patience(row))
    const report = JSON.parse(readFileSync(join(reports, 'report.json'), 'utf8'))
    const command = [[PROGRAM, ...server.args].join(' '), [PROGRAM, ...load].join(' ')]
    return { report, command, started: report.started, left: await server.left(before), framing: await framing }
  } finally {
    await server.stop()
    rmSync(reports, { recursive: true })
  }
}

/** Looks now and then; the last look while most were in counts. */
async function watchFraming(server, generator) {
  let last = {}
  let most = 0
  while (generator.exitCode === null && generator.signalCode === null) {
    const counts = await server.framing().catch(() => ({}))
    const here = Object.values(counts).reduce((sum, count) => sum + count, 0)
    if (here > 0 && here >= most * 0.99) [last, most] = [counts, Math.max(most, here)]
    await Promise.race([pause(2), generator.ended])
  }
  return last
}

async function runBench(row) {
  const [crate, target] = row.bench.split(' ')
  const args = ['bench', '--locked', '-p', crate, '--bench', target]
  const { out } = await finish(start('cargo', args), 3_600)
  const lines = out.split('\n').filter(line => line.trim())
  return { lines, command: [`cargo ${args.join(' ')}`], started: new Date().toISOString() }
}
