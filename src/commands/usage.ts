/** What the command line takes, as `--help` shows it. */
export const usage = `Usage: copilot-gateway [command]

  start   Run the gateway (default). Settings come from the environment and from .env.
            --config F      and from this YAML file, which may hold several contact centers;
                            check, link and load take it too
  demo    Run the gateway between a demo workspace and a demo contact center.
  check   Say what every setting is, and all that is wrong with them.
  link    Print one signed link:
            --user U        the agent's userId
            --session S     the sessionId of the chat or call
            --url-token T   the URLToken of the Cognigy.AI Endpoint
            --base URL      where the gateway is (PUBLIC_URL, or else HOST and PORT)
            --expires 8h    how long the link opens the workspace (8h)
            --contact-center N
                            whose secret signs it, where there are several
  uui     Say what a User-to-User value holds:
            <value>         the value, its header or a message's headers, or - for stdin (arguments
                            show in process lists)
            --show          print the URLToken too
  explain Say what the gateway would say of a link, check by check, and how to mend it:
            <url>           the link, or better - for stdin (arguments show in process lists
                            and in the shell's history)
            --page ORIGIN   whether a page there may frame it
            --show          write ids, claims and the URLToken out; never a signature
            --json          print it as JSON
            --config F      settings of a YAML file
  doctor  Examine the gateway at <base-url> from outside; nothing is changed:
            <base-url>      where browsers reach it
            --link-file F   a signed link in a file, or - for stdin, for deeper checks; the
                            variable DOCTOR_LINK does too (arguments show in process lists)
            --user U --session S --url-token T
                            instead: make a link with JWT_SECRET of the settings
            --json          print the report as JSON
  report  Say which integrations enforcement would refuse, which it does refuse, and what to do:
            <log> ...       the gateway's log: files (.gz too), or - for stdin
            --since 24h     only what is as young as that, or since a time: 2026-11-20T08:00Z
            --json          print the report as JSON
  load    Play agents and attackers against the gateway at <base-url>, and measure it:
            --agents 20     at work at once, each with --chats 2 and a message every
            --messages 5s   in each of them
            --rate 2/s      so many of them leave and are replaced
            --duration 30s  of which --ramp 5s at either end: they arrive, they leave
            --attackers 5%  of what is opened must not let in, and is tried all the same: each
                            kind of attack once at least, unless it is 0%
            --p50 --p90 --p99 --p999 50ms, --errors 0.1%
                            past one of these the exit code is 1, or where an attack gets in;
                            without --errors no step may fail; one may wait 10 s for its answer
            --json F --html F
                            write the results to these files too
            --contact-center N, --url-token T, --config F
                            what links are made of, from the settings
            --yes-i-own-this
                            without it load goes to loopback addresses only

  --help, -h   Print this.
  --version    Print the version.
`

/** Ends a command that was called wrongly, with what that one takes: exit code 2. */
export function wrongUsage(...problems: readonly string[]): 2 {
  process.stderr.write(`${problems.join('\n')}\n\n${usageOf(process.argv[2] ?? '')}`)
  return 2
}

/** The part of one command; all of it for what is none. */
function usageOf(command: string): string {
  const [, ...parts] = usage.split(/^ {2}(?=\S)/m)
  const part = parts.find((text) => text.startsWith(`${command} `))
  return part === undefined ? usage : `Usage: copilot-gateway ${command}\n\n  ${part}`
}
