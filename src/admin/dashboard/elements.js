/** An element with these attributes. Whatever is text becomes a text node, never markup. */
export function element(name, attributes = {}, ...children) {
  const node = document.createElement(name)
  for (const [attribute, value] of Object.entries(attributes)) node.setAttribute(attribute, value)
  node.append(...children)
  return node
}

/** Writes only what is new, so that a selection and a screen reader's place survive. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text
}

/** A sentence with names in backticks. */
export function prose(text) {
  return text
    .split('`')
    .map((part, index) => (index % 2 === 1 ? element('code', {}, part) : part))
    .filter((part) => part !== '')
}

const kept = new WeakMap()

/**
 * Makes a parent's children those of the items, in their order. `create` makes `{ node, update }`
 * of an item whose key is new; nodes that are there stay, with focus and selection.
 */
export function reconcile(parent, items, keyOf, create) {
  const before = kept.get(parent) ?? new Map()
  const now = new Map()
  for (const item of items) {
    const key = keyOf(item)
    const made = before.get(key) ?? create(item)
    made.update?.(item)
    now.set(key, made)
  }
  for (const [key, { node, end }] of before) {
    if (now.has(key)) continue
    node.remove()
    end?.()
  }
  let next = parent.firstChild
  for (const { node } of now.values()) {
    if (node === next) next = next.nextSibling
    else parent.insertBefore(node, next)
  }
  kept.set(parent, now)
}

/** An element of the page by its id. */
export function byId(id) {
  return document.getElementById(id)
}
