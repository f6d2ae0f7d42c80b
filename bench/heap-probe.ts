// Loaded into a gateway that is watched: writes down once a second what its heap holds.
import { appendFileSync } from 'node:fs'

const file = process.env['HEAP_FILE'] ?? ''
setInterval(() => {
  appendFileSync(file, `${process.memoryUsage().heapUsed}\n`)
}, 1000).unref()
