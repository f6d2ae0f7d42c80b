/** What a workspace's `config.js` hands to its page for the socket. */
export interface WorkspaceConfig {
  /** null where the text names none. */
  readonly apiToken: string | null
  /** The socket's path and query, below the gateway's base. */
  readonly socketPath: string
}

/** Whether a text is a `config.js`. */
export function isConfig(text: string): boolean {
  return apiToken.test(text)
}

export function readConfig(text: string): WorkspaceConfig {
  const session = proof.exec(text)?.[1]
  return {
    apiToken: apiToken.exec(text)?.[1] ?? null,
    socketPath: session === undefined ? socketPath : `${socketPath}&copilotSession=${session}`,
  }
}

export const socketPath = '/socket.io/?EIO=4&transport=websocket'

const apiToken = /\baccessTokenSecret["']?\s*:\s*["']([^"'\\]*)/
const proof = /[?&]copilotSession=([\w.~-]+)/
