// What the dashboards of grafana/ ask for, with their variables filled in as Grafana fills them in for "all".

import { readdirSync, readFileSync } from 'node:fs'

const DIRECTORY = new URL('../../grafana/dashboards/', import.meta.url)
/** What Grafana puts in by itself. */
const OF_GRAFANA = { __rate_interval: '1m', __interval: '15s', __range: '1h' }

/** What a panel asks for; `isRare`: it shows nothing while all is well, and says so. @typedef {{ text: string, isRare: boolean }} Query */

/** All panels but those of alerts. @returns {{ dashboard: string, title: string, queries: Query[] }[]} */
export function panels() {
  return readdirSync(DIRECTORY).filter(name => name.endsWith('.json')).flatMap(name => {
    const { title, panels, templating } = JSON.parse(readFileSync(new URL(name, DIRECTORY), 'utf8'))
    const own = Object.fromEntries(templating.list.map(({ name }) => [name, '.*']))
    return panels.flatMap(panel => panel.panels ?? [panel]).filter(panel => panel.targets).map(panel => ({
      dashboard: title, title: panel.title,
      queries: panel.targets.map(({ expr }) => filled(expr, { ...own, ...OF_GRAFANA })).filter(text => !/\bALERTS\b/.test(text))
        .map(text => ({ text, isRare: / > 0$/.test(text) || panel.fieldConfig?.defaults?.noValue !== undefined })),
    }))
  })
}

/** `$name`, `${name}` and `${name:format}`. */
function filled(expression, values) {
  return expression.replace(/\$(?:(\w+)|\{(\w+)(?::\w+)?\})/g, (whole, one, other) => {
    const value = values[one ?? other]
    if (value === undefined) throw new Error(`${whole} is no variable of ${expression}`)
    return value
  })
}

/** Metrics that an expression names, and not what rules have recorded. @param {string} expression */
export const metrics = expression =>
  [...expression.matchAll(/(?<![\w:])(?:dais|process)_\w+(?![\w:])/g)].map(([name]) => name.replace(/_(bucket|sum|count)$/, ''))

/** Metrics that the program has in its source, some of which come to be with the first thing that they count. */
export function inSource() {
  const root = new URL('../../', import.meta.url)
  const files = ['edge', 'origin', 'signaling', 'crates', 'dais'].flatMap(part => readdirSync(new URL(part, root), { recursive: true })
    .filter(name => String(name).endsWith('.rs')).map(name => new URL(`${part}/${name}`, root)))
  return new Set(files.flatMap(file => [...readFileSync(file, 'utf8').matchAll(/"((?:dais|process)_\w+)"/g)].map(([, name]) => name)))
}
