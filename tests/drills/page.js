// The drills' part of docs/benchmarks.md.

import { link, number, yes } from '../load/benchmark/page.js'
import { ROWS } from './rows.js'

/** @type {import('../load/benchmark/page.js').Part} */
export const DRILLS = {
  name: 'drills', tool: 'tests/drills/run', folder: 'benchmarks/drills', rows: ROWS, shows: 'Allowed',
  columns: [
    ['done to it', link], ['allowed', ({ row }) => row.shows],
    ['what was seen', ({ row, verdict }) => seen(row, verdict)], ['holds', ({ row, verdict }) => verdictOf(row, verdict)],
  ],
}

/** The leading figure, and whatever does not hold. */
function seen(row, { figures }) {
  const isTold = ({ figure, holds }) => figure.name === row.leading || holds === false
  const of = ({ figure, values, median }) => `${figure.name}: ${figure.every ? [...new Set(values.map(number))].join(' / ') : number(median)}`
  return figures.filter(isTold).map(of).join('; ')
}

function verdictOf(row, { figures, holds }) {
  if (!figures.some(one => one.holds !== null)) return ''
  return holds || !row.known ? yes(holds) : `${yes(holds)}, known: ${row.known}`
}
