// Measures rows, each several times, and keeps what was seen. Which rows, and what one run of them is, says who asks.
//
//   for each row, for each run: run(row) ─▶ figures
//   then: the run with the median of the leading figure ─▶ docs/…/ROW.json

import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'

import { judge, save } from './page.js'
import { cpu, machine, others, pause, ROOT, settings } from './server.js'

/** Before each run: what the one before left to the kernel is done, and who else uses the machine is seen. */
const BREATH_S = 3

/** Cores that others may use before a run without our saying so. */
const QUIET = 0.1

/**
 * What is to be done.
 * @typedef {object} Plan
 * @property {import('./rows.js').Row[]} rows
 * @property {import('./page.js').Part} part of the page that they are
 * @property {string} directory `docs`, or where somebody tries it out
 * @property {number} runs of each row, unless it says `once`
 * @property {(row: import('./rows.js').Row, number: number) => Promise<import('./rows.js').Run>} run
 */

/** Measures all rows of a plan. @param {Plan} plan */
export async function measureAll(plan) {
  const running = others()
  if (running.length > 0 && plan.directory === 'docs') throw new Error(`dais runs already, as process ${running.join(', ')}: end it first`)
  if (build().dirty) console.error(`${plan.part.name}: the tree has changes that are in no commit; the page will say so`)
  mkdirSync(join(ROOT, plan.directory, plan.part.folder), { recursive: true })
  for (const row of plan.rows) {
    await measureRow(plan, row).catch(error => {
      // One row that cannot be measured is no reason to lose a night of others.
      console.error(`\n${plan.part.name}: ${row.name}: ${error.message}`)
      process.exitCode = 1
    })
  }
}

async function measureRow(plan, row) {
  const runs = row.once ? 1 : plan.runs
  const numbers = Array.from({ length: runs }, (_, index) => index)
  if (row.together) {
    process.stderr.write(`${row.name}, ${runs} runs side by side: `)
    return keep(plan, row, await Promise.all(numbers.map(number => measure(plan, row, number))))
  }
  const measured = []
  for (const number of numbers) {
    process.stderr.write(`${row.name}, run ${number + 1} of ${runs}: `)
    measured.push(await measure(plan, row, 0))
    // After each run: whoever stops it keeps what has been measured.
    keep(plan, row, measured)
  }
}

/** One run, and what the machine did besides: its cores are shared with whoever else is there. */
async function measure(plan, row, number) {
  const before = cpu()
  await pause(BREATH_S)
  const [begin, began] = [cpu(), Date.now()]
  const busy = (begin.used - before.used) / BREATH_S
  if (busy > QUIET) process.stderr.write(`(others use ${busy.toFixed(2)} cores) `)
  const run = await plan.run(row, number)
  const stolen = (cpu().stolen - begin.stolen) * 1_000 / (Date.now() - began)
  const leading = row.figures.find(figure => figure.name === row.leading).of(run)
  process.stderr.write(`${row.leading} ${leading}\n`)
  if (run.report && !run.report.commit.startsWith(build().commit)) {
    console.error(`${plan.part.name}: the program is of commit ${run.report.commit}, and this is ${build().commit}`)
  }
  return { ...run, machine: { busy_cores_before: busy, stolen_cores: stolen } }
}

/** Writes down what has been measured of a row so far, with the whole report of the median run. */
function keep({ directory, part }, row, measured) {
  const middle = judge(row, measured).middle
  const { report, command, lines } = measured[middle]
  const of = run => ({
    started: run.started, command: run.command,
    figures: Object.fromEntries(row.figures.map(figure => [figure.name, figure.of(run) ?? null])),
    left: run.left, framing: run.framing, facts: run.facts, said: run.said, machine: run.machine,
  })
  save(directory, part, row.name, {
    row: row.name, commit: report?.commit ?? build().commit, dirty: build().dirty,
    machine: { ...machine(), ...settings() },
    command, median_run: middle + 1, runs: measured.map(of), lines, report,
  })
}

function build() {
  const git = (...args) => execFileSync('git', args, { cwd: ROOT, encoding: 'utf8' }).trim()
  // What is measured is no change to what is measured.
  const changes = git('status', '--porcelain', '--', '.', ':!docs/benchmarks', ':!docs/benchmarks.md')
  return { commit: git('rev-parse', '--short=12', 'HEAD'), dirty: changes !== '' }
}
