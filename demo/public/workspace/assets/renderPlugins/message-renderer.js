// Makes a tile's HTML a document of its own: the workspace's looks, and an SDK for its scripts.
window.renderMessage = (html) => `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="color-scheme" content="light dark">
<style>
  :root {
    color-scheme: light dark;
    --text: #1b2127; --quiet: #545e68; --agent: #e8f0f9; --surface: #fff;
    --accent: #0a58a6; --on-accent: #fff;
  }
  @media (prefers-color-scheme: dark) {
    :root {
      --text: #e7ebee; --quiet: #a7b1ba; --agent: #21303f; --surface: #1d2227;
      --accent: #84bdf8; --on-accent: #0c1b2a;
    }
  }
  * { box-sizing: border-box }
  body {
    margin: 0; padding: 12px; overflow-wrap: anywhere;
    background: var(--surface); color: var(--text); font: 15px/1.45 system-ui, sans-serif;
  }
  h2 {
    position: sticky; top: 0; margin: -12px -12px 0; padding: 12px 12px 6px;
    background: var(--surface); font-size: 15px;
  }
  p { margin: 0 0 10px }
  p:last-of-type { margin-bottom: 0 }
  .quiet { color: var(--quiet) }
  dl { margin: 0; display: grid; grid-template-columns: auto 1fr; gap: 2px 12px }
  dt { color: var(--quiet) }
  dd { margin: 0 }
  ul { margin: 0; padding-left: 18px }
  ol.transcript { margin: 0; padding: 0; list-style: none; display: grid; gap: 6px }
  .transcript li { padding: 2px 8px; margin: 0 -8px; border-radius: 4px }
  .transcript .agent { background: var(--agent) }
  .transcript b { display: block; color: var(--quiet); font-weight: 600; font-size: 13px }
  button {
    min-height: 40px; padding: 6px 12px; border: 0; border-radius: 6px;
    background: var(--accent); color: var(--on-accent); font: inherit; cursor: pointer;
  }
  :focus-visible { outline: 2px solid var(--accent); outline-offset: 2px }
</style>
<script>
  const SDK = {
    postback: (action) => parent.postMessage({ type: 'tile-postback', action }, '*'),
  }
  addEventListener('load', () => {
    new ResizeObserver(() => {
      parent.postMessage({ type: 'tile-height', height: document.body.offsetHeight }, '*')
    }).observe(document.body)
  })
</script>
${html}`
