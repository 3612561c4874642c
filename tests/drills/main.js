// Goes through the drills, each several times, and writes their part of docs/benchmarks.md.
//
//   for each run: a fresh town hall with people in it ─▶ drill ─▶ report and facts ─▶ figures
//
// Times depend on the machine; nothing here is part of `make test`.

import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'

import { PROGRAM } from '../browser/forms.js'
import { measureAll } from '../load/benchmark/measure.js'
import { write } from '../load/benchmark/page.js'
import { options } from '../load/benchmark/rows.js'
import { ROOT } from '../load/benchmark/server.js'
import { Hall, TOWN } from './hall.js'
import { DRILLS } from './page.js'
import { ROWS, scaled } from './rows.js'

const HELP = `Usage: tests/drills/run [OPTIONS]

Kills, cuts off and pauses parts of town halls with people in them, says what they heard and what was true afterwards,
and writes it to docs/benchmarks.md. Takes an hour and more; use a machine that has nothing else to do.

  --only ROW        Only this row; may repeat
  --list            Print the rows
  --runs N          Runs of each row [3]
  --listeners N     Where a row says 1,000, and others in proportion: writes to target/drills instead [1000]
  --previous PATH   A dais of the build before this one, for the row \`previous\`, which is left out otherwise
  --page            Only write the page anew from what was seen before
`

const { values: asked } = parseArgs({
  options: {
    only: { type: 'string', multiple: true }, list: { type: 'boolean' }, runs: { type: 'string', default: '3' },
    listeners: { type: 'string', default: '1000' }, previous: { type: 'string' }, page: { type: 'boolean' },
    help: { type: 'boolean', short: 'h' },
  },
})
const listeners = Number(asked.listeners)
const directory = listeners === 1_000 ? 'docs' : 'target/drills'

/** Reports that others are held against, by row. @type {Map<string, any>} */
const reports = new Map()
/** What runs now, so that nothing outlives us. @type {Hall | undefined} */
let open
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP']) {
  process.on(signal, async () => {
    await open?.town.kill()
    process.exit(1)
  })
}

await main().catch(error => {
  console.error(`drills: ${error.message}`)
  process.exit(1)
})
process.exit()

async function main() {
  if (asked.help) return console.log(HELP)
  if (asked.list) return ROWS.forEach(row => console.log(`${row.name.padEnd(18)} ${row.title}`))
  const unknown = asked.only?.find(name => !ROWS.some(row => row.name === name))
  if (unknown) throw new Error(`there is no row ${unknown}: see --list`)
  mkdirSync(join(ROOT, directory), { recursive: true })
  if (!asked.page) {
    if (!existsSync(PROGRAM)) throw new Error(`there is no ${PROGRAM}: cargo build --release`)
    await measureAll({ rows: chosen(), part: DRILLS, directory, runs: Number(asked.runs), run })
  }
  write(directory, DRILLS)
}

/** The rows that were asked for, and those that they are held against. */
function chosen() {
  const names = new Set(asked.only ?? ROWS.map(row => row.name))
  ROWS.filter(row => names.has(row.name) && row.beside).forEach(row => names.add(row.beside))
  const rows = ROWS.filter(row => names.has(row.name))
  const [skipped] = rows.filter(row => row.needs === 'previous' && !asked.previous)
  if (skipped) console.error(`drills: ${skipped.name} is left out: it needs --previous PATH`)
  return rows.filter(row => row !== skipped).map(row => scaled(row, listeners))
}

/** One run of one row. @param {import('./rows.js').Row} row */
async function run(row) {
  const started = new Date().toISOString()
  const town = row.town ?? TOWN
  const shape = row.needs === 'previous' ? { ...town, build: ofPrevious } : town
  const hall = open = await Hall.open(shape, row.load, row.doors)
  const tell = error => { hall.said.push(error.message) }
  // Whatever goes wrong is what was seen.
  await row.drill(hall, row).catch(tell)
  const report = await hall.report().catch(tell)
  await hall.close().catch(tell)
  reports.set(row.name, report)
  return {
    started, facts: hall.facts, said: hall.said.map(shortened), beside: reports.get(row.beside),
    command: [`tests/drills/run --only ${row.name}`, ...row.load ? [`# dais load ${options(row).join(' ')}`] : []],
    // Second by second it would be longer than all that is read of it.
    report: report && { ...report, timeline: undefined, distributions: undefined },
  }
}

/** Every other part is of the previous build. */
function ofPrevious(name) {
  return Number(name.split('-')[1]) % 2 === 0 ? asked.previous : undefined
}

/** As much of an error as a page has room for, on one line: its end says most. */
function shortened(text) {
  const line = text.trim().replace(/\s+/g, ' ')
  return line.length > 400 ? `… ${line.slice(-400)}` : line
}
