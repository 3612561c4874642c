// docs/benchmarks.md: what stands between the two marks of a part is written here, out of the JSON of its rows. The text
// around them is written by hand and stays.

import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

import { ROWS, scaled } from './rows.js'
import { ROOT } from './server.js'

const SYMBOLS = { '<=': '≤', '>=': '≥', '=': '=' }

/**
 * A part of the page.
 * @typedef {object} Part
 * @property {string} name in its marks and on the terminal
 * @property {string} tool by which it is written
 * @property {string} folder of its JSON, beside the page
 * @property {import('./rows.js').Row[]} rows
 * @property {string} shows what a row's `shows` is called
 * @property {[string, (measured: Measured) => string][]} columns of the summary
 */
/**
 * A row and what was seen.
 * @typedef {{ row: import('./rows.js').Row, one: any, verdict: ReturnType<typeof verdicts>, against: string }} Measured
 */

/** @type {Part} */
export const BENCHMARKS = {
  name: 'measured', tool: 'tests/load/benchmarks', folder: 'benchmarks', rows: ROWS, shows: 'Must show',
  columns: [
    ['run', measured => link(measured)], ['must show', ({ row }) => row.shows],
    ['holds', ({ verdict }) => yes(verdict.holds)], ['runs', ({ one }) => `${one.runs.length}`],
  ],
}

const marks = ({ name, tool }) => [`<!-- ${name}: written by ${tool} -->`, `<!-- /${name} -->`]

/** Keys of a kept report whose elements get a line each, so that it can be read and compared. */
const DEPTH = 3

/**
 * What the runs of a row come to.
 * @param {import('./rows.js').Row} row @param {import('./rows.js').Run[]} runs
 */
export function judge(row, runs) {
  const kept = runs.map(run => row.figures.map(figure => figure.of(run) ?? null))
  return verdicts(row, kept)
}

function verdicts(row, kept) {
  const column = index => kept.map(figures => figures[index])
  const figures = row.figures.map((figure, index) => {
    const values = column(index)
    const middle = values[middleOf(values)]
    return { figure, values, median: middle, holds: holds(figure, figure.every ? values : [middle]) }
  })
  const leading = row.figures.findIndex(figure => figure.name === row.leading)
  return { figures, middle: middleOf(column(leading)), holds: figures.every(one => one.holds !== false) }
}

/** @returns {number} the index of the median; of an even number the greater one; what is not known is greatest */
export function middleOf(values) {
  const order = values.map((value, index) => ({ value: value ?? Infinity, index })).sort((a, b) => a.value - b.value)
  return order[Math.floor(order.length / 2)].index
}

/** @returns {boolean | null} null: nothing was asked. What was not measured holds nothing. */
export function holds({ must }, values) {
  if (!must) return null
  const [comparison, bound] = must
  const one = {
    '<=': value => value <= bound, '>=': value => value >= bound, '=': value => value === bound,
  }[comparison]
  return values.every(value => value !== null && value !== undefined && one(value))
}

/** Writes the JSON of a row. @param {string} directory @param {Part} part @param {string} name @param {any} measured */
export function save(directory, part, name, measured) {
  writeFileSync(join(ROOT, directory, part.folder, `${name}.json`), `${lines(measured, 1)}\n`)
}

/** JSON with a line for each element down to some depth, and what is deeper on one line. */
function lines(value, depth) {
  if (typeof value !== 'object' || value === null || depth > DEPTH) return JSON.stringify(value)
  const [open, close] = Array.isArray(value) ? '[]' : '{}'
  const written = Array.isArray(value)
    ? value.map(one => lines(one, depth + 1))
    : Object.entries(value).filter(([, one]) => one !== undefined).map(([key, one]) => `${JSON.stringify(key)}: ${lines(one, depth + 1)}`)
  if (written.length === 0) return open + close
  const indent = ' '.repeat(depth)
  return `${open}\n${indent}${written.join(`,\n${indent}`)}\n${indent.slice(1)}${close}`
}

/** Writes a part of the page anew. @param {string} directory @param {Part} part */
export function write(directory, part) {
  const page = join(ROOT, directory, 'benchmarks.md')
  const text = readFileSync(existsSync(page) ? page : join(ROOT, 'docs', 'benchmarks.md'), 'utf8')
  const [begin, end] = marks(part)
  const [before, rest] = text.split(begin)
  const after = rest?.split(end)[1]
  if (after === undefined) throw new Error(`${page} has lost its marks ${begin} ${end}`)
  const kept = Object.fromEntries(part.rows.map(row => [row.name, read(directory, part, row.name)]).filter(([, one]) => one))
  writeFileSync(page, `${before}${begin}\n${measuredPart(part, kept)}\n${end}${after}`)
  console.error(`written: ${page}`)
}

function read(directory, part, name) {
  const file = join(ROOT, directory, part.folder, `${name}.json`)
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
}

/** @param {Part} part @param {Record<string, any>} kept what was measured, by row */
export function measuredPart(part, kept) {
  const rows = part.rows.filter(row => kept[row.name]).map(row => asMeasured(row, kept, part))
  if (rows.length === 0) return '\nNothing has been measured yet.\n'
  const missing = part.rows.filter(row => !kept[row.name]).map(row => row.title)
  return [
    machines(rows), summary(rows, part),
    ...missing.length ? [`Not measured yet: ${missing.join('; ')}.`] : [],
    ...rows.map(measured => section(measured, part)),
  ].join('\n\n')
}

function asMeasured(row, kept, part) {
  const one = kept[row.name]
  const asked = scaled(row, (one.report?.config.listeners || row.load?.listeners || 1) / (row.load?.listeners || 1))
  const figures = one.runs.map(run => row.figures.map(figure => run.figures[figure.name] ?? null))
  return { row, one, verdict: verdicts(asked, figures), against: against(row, kept, part) }
}

/** How a figure compares with the same one of another row. */
function against(row, kept, part) {
  const other = row.against && kept[row.against.row]
  if (!other) return ''
  const { figure } = row.against
  const median = one => one.runs.map(run => run.figures[figure])[middleOf(one.runs.map(run => run.figures[figure]))]
  const [here, there] = [median(kept[row.name]), median(other)]
  const title = part.rows.find(one => one.name === row.against.row).title
  return `${figure}: ${number(here)} here, ${number(there)} in “${title}”: ${number(100 * (1 - here / there))} % less.`
}

function machines(rows) {
  const texts = rows.map(({ one: { machine } }) => {
    const settings = Object.entries(machine).filter(([name]) => name.startsWith('net.'))
    const main = `${machine.cores} cores (${machine.model}), ${Math.round(machine.memory_bytes / 2 ** 30)} GiB, ${machine.kernel}`
    return [main, ...settings.map(([name, value]) => `\`${name}\` ${number(value)}`)].join(', ')
  })
  return `Machine: ${[...new Set(texts)].join('; ')}.`
}

/** What else the machine did, where that was not nothing. */
function disturbances({ runs }) {
  const most = name => Math.max(...runs.map(run => run.machine[name]))
  const [busy, stolen] = [most('busy_cores_before'), most('stolen_cores')]
  const texts = [
    ...busy > 0.1 ? [`others used up to ${number(busy)} cores just before`] : [],
    ...stolen > 0.02 ? [`the host took away up to ${number(stolen)} cores meanwhile`] : [],
  ]
  return texts.length > 0 ? ` The machine was not quiet: ${texts.join(', and ')}.` : ''
}

function summary(rows, { columns }) {
  const line = cells => `| ${cells.join(' | ')} |`
  const body = rows.map(measured => line(columns.map(([, of]) => of(measured))))
  return [line(columns.map(([head]) => head)), `|${'---|'.repeat(columns.length)}`, ...body].join('\n')
}

export const yes = holds => holds ? 'yes' : '**no**'

/** To its section. @param {Measured} measured */
export const link = ({ row }) => `[${row.title}](#${anchor(row)})`

/** As GitHub makes it out of a heading. */
const anchor = row => row.title.toLowerCase().replace(/[^\p{L}\p{N} -]/gu, '').replaceAll(' ', '-')

function section({ row, one, verdict, against }, { folder, shows }) {
  const commit = `Commit \`${one.commit}\`${one.dirty ? ', with changes that are in no commit' : ''}, ${one.runs[0].started.slice(0, 10)}.`
  const head = `| figure | must be | ${one.runs.map((_, index) => `run ${index + 1}`).join(' | ')} | median | holds |`
  const rule = `|---|---|${'---:|'.repeat(one.runs.length + 1)}---|`
  return [
    `### ${row.title}`, `${shows}: ${row.shows}.`, ['```sh', ...one.command, '```'].join('\n'),
    [head, rule, ...verdict.figures.map(figureLine)].join('\n'),
    ...against ? [against] : [],
    ...row.known ? [`Known not to hold: ${row.known}.`] : [],
    ...one.runs.flatMap(({ said = [] }, index) => said.map(text => `Run ${index + 1}: ${text}`)),
    ...one.lines ? [['```text', ...one.lines, '```'].join('\n')] : [],
    `${commit}${row.together ? ' The runs went side by side.' : ''}${disturbances(one)} ${one.report?.timeline ? 'The whole report' : 'The record'}, of run ${one.median_run}: [${row.name}.json](${folder}/${row.name}.json).`,
  ].join('\n\n')
}

function figureLine({ figure, values, median, holds }) {
  const must = figure.must ? `${SYMBOLS[figure.must[0]]} ${number(figure.must[1])}` : ''
  const verdict = holds === null ? '' : yes(holds)
  return `| ${figure.name} | ${must} | ${values.map(number).join(' | ')} | ${number(median)} | ${verdict} |`
}

/** As short as it can be read. */
export function number(value) {
  if (typeof value === 'boolean') return value ? 'yes' : 'no'
  if (value === null || value === undefined || Number.isNaN(value)) return '?'
  if (Number.isInteger(value) || Math.abs(value) >= 1_000) return Math.round(value).toLocaleString('en')
  return Number(value.toPrecision(3)).toString()
}
