/**
 * The environment of a command that is given its settings and no others. The folder of a whole run
 * keeps what is compiled, or each process would compile it all again.
 */
export const environment = {
  PATH: process.env['PATH'] ?? '',
  ...(process.env['NODE_COMPILE_CACHE'] && {
    NODE_COMPILE_CACHE: process.env['NODE_COMPILE_CACHE'],
  }),
}
