import {
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type ParsedNode,
  parseDocument,
  type YAMLParseError,
} from 'yaml'
import type { Finding, Problems } from './reader.ts'

/** A value of a YAML file. `at` says where it stands, as in `gateway.yaml:12:5 contactCenters[1].name`. */
export type YamlNode = YamlScalar | YamlList | YamlMap

interface YamlScalar {
  readonly kind: 'text' | 'number' | 'boolean' | 'nothing'
  readonly at: string
  /** A number as it is written: 007 is not 7 where it names something. */
  readonly text: string
}

export interface YamlList {
  readonly kind: 'list'
  readonly at: string
  readonly items: readonly YamlNode[]
}

export interface YamlMap {
  readonly kind: 'map'
  readonly at: string
  readonly entries: ReadonlyMap<string, YamlNode>
}

/** In characters; a thousand contact centers take an eighth of it. */
const longest = 2 ** 20

/**
 * The one document of a YAML 1.2 file, or all that makes it none. Problems quote no value. Aliases and tags
 * are refused: a few lines of aliases can stand for gigabytes, and a tag changes what its value is.
 */
export function parseYaml(file: string, text: string): YamlMap | Problems {
  if (text.length > longest) return wrong(file, 'must have 1mb at most')
  if (text.includes('\uFFFD')) return wrong(file, 'must be UTF-8')
  const lineCounter = new LineCounter()
  const problems: Finding[] = []
  const place = (offset: number): string => {
    const { line, col } = lineCounter.linePos(offset)
    return `${file}:${line}:${col}`
  }

  function walk(node: ParsedNode | null, at: string, path: string): YamlNode {
    if (isAlias(node)) {
      problems.push({ setting: at, message: 'is an alias: write out what it stands for' })
    } else if (node?.tag !== undefined) {
      problems.push({ setting: at, message: 'has a tag: leave it out' })
    } else if (isMap(node)) {
      const entries = new Map<string, YamlNode>()
      for (const { key, value } of node.items) {
        const name = isScalar(key) && typeof key.value === 'string' ? key.value : ''
        const below = `${path}${path && '.'}${showable.test(name) ? name : '?'}`
        const there = `${place(key.range[0])} ${below}`
        if (entries.has(name)) problems.push({ setting: there, message: 'is there twice' })
        else entries.set(name, walk(value, there, below))
      }
      return { kind: 'map', at, entries }
    } else if (isSeq(node)) {
      const items = node.items.map((item, index) => {
        const below = `${path}[${index}]`
        return walk(item, `${place(item.range[0])} ${below}`, below)
      })
      return { kind: 'list', at, items }
    } else if (isScalar(node) && node.value !== null) {
      const { value, source } = node
      if (typeof value === 'string') return { kind: 'text', at, text: value }
      if (typeof value === 'boolean') return { kind: 'boolean', at, text: String(value) }
      return { kind: 'number', at, text: source ?? '' }
    }
    return { kind: 'nothing', at, text: '' }
  }

  const document = parseDocument(text, {
    lineCounter,
    // The library's own messages quote what stands there.
    prettyErrors: false,
    logLevel: 'error',
    stringKeys: true,
    // It would compare each key with each other one.
    uniqueKeys: false,
  })
  if (document.errors.some(({ code }) => code === 'RESOURCE_EXHAUSTION')) {
    return wrong(file, 'is nested too deeply')
  }
  if (document.errors.length > 0) {
    // One mistake can be followed by thousands.
    const shown = document.errors.slice(0, 10)
    return {
      problems: shown.map(({ code, pos }) => ({ setting: place(pos[0]), message: reason(code) })),
    }
  }
  const root = walk(document.contents, place(0), '')
  if (problems.length > 0) return { problems }
  return root.kind === 'map' ? root : wrong(file, 'must hold settings, as in copilotUrl: https://…')
}

/** Keys that a finding may name: none that could be a secret in the wrong place. */
const showable = /^[a-z][a-z_-]{0,29}$/i

function wrong(setting: string, message: string): Problems {
  return { problems: [{ setting, message }] }
}

function reason(code: YAMLParseError['code']): string {
  if (code === 'TAB_AS_INDENT') return 'is indented with a tab: take spaces'
  if (code === 'MULTIPLE_DOCS') return 'begins a second document: there must be one'
  if (code === 'BLOCK_AS_IMPLICIT_KEY') return 'holds a colon and a blank: put the value in quotes'
  return `is no YAML (${code})`
}
