/** What a workspace's `config.js` hands to its page for the socket. */
export interface WorkspaceConfig {
  /** null where the text names none. */
  readonly apiToken: string | null
  /** The socket's path and query, below the gateway's base. */
  readonly socketPath: string
}

/** Of a text that is no `config.js`, nothing. */
export function readConfig(text: string): WorkspaceConfig {
  const config = text.length > longest ? '' : text
  const session = proof.exec(config)?.[1]
  return {
    apiToken: apiToken.exec(config)?.[1] ?? null,
    socketPath: session === undefined ? socketPath : `${socketPath}&copilotSession=${session}`,
  }
}

/** What is longer is no `config.js`. */
const longest = 2 ** 20

export const socketPath = '/socket.io/?EIO=4&transport=websocket'

const apiToken = /\baccessTokenSecret["']?\s*:\s*["']([^"'\\]*)/
const proof = /[?&]copilotSession=([\w.~-]+)/
