import { parseArgs } from 'node:util';
import { DefaultAzureCredential } from '@azure/identity';
import { redactError } from '../../runtime/core/redact-error.ts';
import { readConfigFile } from '../config-file.ts';
import { readStackConfig } from '../config.ts';
import { planStack } from '../plan.ts';
import { redactedStream } from '../redacted-stream.ts';
import { openAzureApi } from './azure-api.ts';
import type { Finding } from './checks.ts';
import { preflight } from './preflight.ts';

const out = redactedStream(process.stdout);
const err = redactedStream(process.stderr);

const SCOPE = 'https://management.azure.com/.default';

const HELP = `npm run preflight -- --stack <name> [--subscription <id>] [--json]

Asks Azure with your own login (az login) whether "pulumi up" of this stack can work. Changes nothing.
Exit codes: 0 nothing missing, 1 something is missing, 2 a mistake in the configuration or no login.
`;

const EXIT = { ok: 0, missing: 1, badInput: 2 } as const;

const MARKS = { ok: 'ok     ', miss: 'MISSING', unknown: 'unknown' } as const;

/** A mistake of the person at the keyboard. */
class Mistake extends Error {}

async function main(): Promise<number> {
  const flags = readFlags();
  if (flags.help === true) {
    out.write(HELP);
    return EXIT.ok;
  }
  if (flags.stack === undefined) throw new Mistake('--stack is missing. Example: npm run preflight -- --stack dev');
  const { values } = readConfig(flags.stack);
  const read = readStackConfig(flags.stack, values);
  if (!read.ok) throw new Mistake(read.errors.join('\n'));
  const subscriptionId = flags.subscription ?? values['azure-native:subscriptionId'];
  const api = openAzureApi({ token: await login() });
  const { config } = read;
  const findings: Finding[] = [];
  for await (const finding of preflight({ api, config, plan: planStack(config), subscriptionId })) {
    findings.push(finding);
    if (flags.json !== true) out.write(lineOf(finding));
  }
  const missing = findings.filter((finding) => finding.verdict === 'miss').length;
  const unanswered = findings.filter((finding) => finding.verdict === 'unknown').length;
  if (flags.json === true) out.write(`${JSON.stringify({ stack: flags.stack, findings, missing })}\n`);
  else out.write(summaryOf(flags.stack, missing, unanswered));
  return missing === 0 ? EXIT.ok : EXIT.missing;
}

interface Flags {
  readonly stack?: string | undefined;
  readonly subscription?: string | undefined;
  readonly json?: boolean | undefined;
  readonly help?: boolean | undefined;
}

function readFlags(): Flags {
  const text = { type: 'string' } as const;
  const flag = { type: 'boolean' } as const;
  try {
    return parseArgs({ options: { stack: text, subscription: text, json: flag, help: flag } }).values;
  } catch (error) {
    throw new Mistake(`${(error as Error).message}\nNext: npm run preflight -- --help`, { cause: error });
  }
}

function readConfig(stack: string): ReturnType<typeof readConfigFile> {
  try {
    return readConfigFile(process.cwd(), stack);
  } catch (error) {
    throw new Mistake((error as Error).message, { cause: error });
  }
}

/** The login of the person: az, azd, environment or workload identity, whichever comes first. */
async function login(): Promise<string> {
  try {
    return (await new DefaultAzureCredential().getToken(SCOPE)).token;
  } catch (error) {
    // The chain lists every way that it tried, one a line; the last words are for a log, not for a person.
    throw new Mistake('there is no Azure login, or it has expired. Next: az login', { cause: error });
  }
}

function lineOf({ check, verdict, text, next }: Finding): string {
  const line = `${MARKS[verdict]}  ${check.padEnd(32)} ${text}\n`;
  return next === undefined ? line : `${line}         next: ${next}\n`;
}

function summaryOf(stack: string, missing: number, unanswered: number): string {
  const open = unanswered === 0 ? '' : `; ${unanswered} could not be asked`;
  if (missing > 0) return `${missing} missing${open}. Nothing was changed.\n`;
  return `Nothing is missing${open}. Next: pulumi up -s ${stack}\n`;
}

try {
  process.exitCode = await main();
} catch (error) {
  const isMistake = error instanceof Mistake;
  err.write(`${isMistake ? error.message : redactError(error)}\n`);
  process.exitCode = isMistake ? EXIT.badInput : EXIT.missing;
}
