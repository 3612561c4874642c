// Measures the rows of docs/benchmarks.md, each several times, and writes that page.
//
//   for each row, for each run: a fresh server ─▶ `dais load` ─▶ figures, and what is left behind
//   then: the run with the median of the leading figure ─▶ docs/benchmarks/ROW.json ─▶ docs/benchmarks.md
//
// Times depend on the machine; nothing here is part of `make test`.

import { execFileSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { judge, save, write } from './page.js'
import { options, patience, ROWS, scaled } from './rows.js'
import { cpu, finish, isBuilt, machine, others, pause, PROGRAM, ROOT, Server, settings, start } from './server.js'

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

/** Before each run: what the one before left to the kernel is done, and who else uses the machine is seen. */
const BREATH_S = 3

/** Runs side by side have their ports so far apart. */
const PORTS = 10

/** Cores that others may use before a run without our saying so. */
const QUIET = 0.1

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
  mkdirSync(join(ROOT, directory, 'benchmarks'), { recursive: true })
  if (!asked.page) await measureAll(ROWS.filter(row => asked.only?.includes(row.name) ?? true))
  write(directory)
}

async function measureAll(rows) {
  if (!isBuilt()) throw new Error(`there is no ${PROGRAM}: cargo build --release`)
  const running = others()
  if (running.length > 0 && scale === 1) throw new Error(`dais runs already, as process ${running.join(', ')}: end it first`)
  if (build().dirty) console.error('benchmarks: the tree has changes that are in no commit; the page will say so')
  for (const row of rows) {
    await measureRow(scaled(row, scale)).catch(error => {
      // One row that cannot be measured is no reason to lose a night of others.
      console.error(`\nbenchmarks: ${row.name}: ${error.message}`)
      process.exitCode = 1
    })
  }
}

async function measureRow(row) {
  const numbers = Array.from({ length: runs }, (_, index) => index)
  if (row.together) {
    process.stderr.write(`${row.name}, ${runs} runs side by side: `)
    return keep(row, await Promise.all(numbers.map(number => measure(row, port + number * PORTS))))
  }
  const measured = []
  for (const number of numbers) {
    process.stderr.write(`${row.name}, run ${number + 1} of ${runs}: `)
    measured.push(await measure(row, port))
    // After each run: whoever stops it keeps what has been measured.
    keep(row, measured)
  }
}

/** One run, and what the machine did besides: its cores are shared with whoever else is there. */
async function measure(row, port) {
  const before = cpu()
  await pause(BREATH_S)
  const [begin, began] = [cpu(), Date.now()]
  const busy = (begin.used - before.used) / BREATH_S
  if (busy > QUIET) process.stderr.write(`(others use ${busy.toFixed(2)} cores) `)
  const run = row.bench ? await runBench(row) : await runLoad(row, port)
  const stolen = (cpu().stolen - begin.stolen) * 1_000 / (Date.now() - began)
  const leading = row.figures.find(figure => figure.name === row.leading).of(run)
  process.stderr.write(`${row.leading} ${leading}\n`)
  if (run.report && !run.report.commit.startsWith(build().commit)) {
    console.error(`benchmarks: ${PROGRAM} is of commit ${run.report.commit}, and this is ${build().commit}`)
  }
  return { ...run, machine: { busy_cores_before: busy, stolen_cores: stolen } }
}

/** Writes down what has been measured of a row so far, with the whole report of the median run. */
function keep(row, measured) {
  const middle = judge(row, measured).middle
  const { report, command, lines } = measured[middle]
  const of = run => ({
    started: run.started, command: run.command,
    figures: Object.fromEntries(row.figures.map(figure => [figure.name, figure.of(run) ?? null])),
    left: run.left, framing: run.framing, machine: run.machine,
  })
  save(directory, row.name, {
    row: row.name, commit: report?.commit ?? build().commit, dirty: build().dirty,
    machine: { ...machine(), ...settings() },
    command, median_run: middle + 1, runs: measured.map(of), lines, report,
  })
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

function build() {
  const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  // What is measured is no change to what is measured.
  const changes = git('status', '--porcelain', '--', '.', ':!docs/benchmarks', ':!docs/benchmarks.md')
  return { commit: git('rev-parse', '--short=12', 'HEAD'), dirty: changes !== '' }
}
