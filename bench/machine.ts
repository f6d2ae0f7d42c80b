// Where a run took place, in words.
import { spawnSync } from 'node:child_process'
import { cpus, release } from 'node:os'
import { path } from './programs.ts'

export function machine(): string {
  return [
    new Date().toISOString().slice(0, 10),
    cpus()[0]?.model.trim(),
    `${cpus().length} cores`,
    `Linux ${release()}`,
    `Node ${process.version}`,
    ...version('nginx', 'nginx'),
    ...version('haproxy', 'HAProxy'),
  ].join(', ')
}

function version(file: string, name: string): string[] {
  const { stdout, stderr } = spawnSync(file, ['-v'], { env: { PATH: path }, encoding: 'utf8' })
  const number = /\d+\.\d+[^ \n]*/.exec(`${stdout}${stderr}`)?.[0]
  return number === undefined ? [] : [`${name} ${number}`]
}
