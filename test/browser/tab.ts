// A page in a browser, as far as Chromium, Firefox and WebKit can be driven alike.
import type { Scope } from './chromium.ts'

export interface Browser {
  readonly name: string
  /** Why there is nothing to test with, or false. */
  readonly missing: string | false
  /** The browser with no cookies of any kind, as far as its user can have it so. */
  readonly open: (t: Scope) => Promise<Tab>
}

export interface Tab {
  readonly goto: (url: string) => Promise<void>
  /** What an expression comes to in the page or, by its place in each, in a frame of a frame. */
  readonly evaluate: (expression: string, ...frames: readonly number[]) => Promise<unknown>
}

/** After so many milliseconds a test fails; what runs in a page tells why a little sooner. */
export const patience = 45_000
const patienceInside = patience - 2000

/** An expression that comes to true once an element's text is this. */
export function showing(selector: string, text: string): string {
  return becoming(`document.querySelector(${JSON.stringify(selector)})?.textContent.trim()`, text)
}

/** An expression that comes to true once another one, which the document decides, is this. */
export function becoming(expression: string, value: unknown): string {
  return `new Promise((resolve, reject) => {
    const deadline = setTimeout(() => reject(new Error('still ' + ${expression})), ${patienceInside})
    const check = () => {
      if (${expression} !== ${JSON.stringify(value)}) return
      clearTimeout(deadline)
      resolve(true)
    }
    new MutationObserver(check).observe(document, { subtree: true, childList: true, attributes: true })
    check()
  })`
}
