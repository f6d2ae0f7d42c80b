/**
 * Gives what stands under Unreleased to a version of this date, `2026-11-23`, and leaves Unreleased empty;
 * null where nothing stands there. `section` is what stood there, without a heading.
 */
export function closeUnreleased(
  changelog: string,
  version: string,
  date: string,
): { readonly text: string; readonly section: string } | null {
  const [, before = '', section = '', after = ''] =
    /^(.*?^## Unreleased\n)(.*?)(^## .*)?$(?![\s\S])/ms.exec(changelog) ?? []
  // Headings alone say nothing.
  if (!/^(?!#)\S/m.test(section)) return null
  const closed = `## ${version} - ${date}\n\n${section.trim()}\n`
  const rest = after === '' ? '' : `\n${after}`
  return { text: `${before}\n${closed}${rest}`, section: section.trim() }
}
