/** A process that says every form of a secret by one of its exits: `node canary-process.ts EXIT [FILE]`. */
import { redactedStream } from '../../infra/redacted-stream.ts';
import { openConsoleLog, openFileLog } from '../../runtime/adapters/pino-log.ts';
import { guardProcess, guardWorker, print, printJson, STDERR, tell, tellCrash } from '../../runtime/host/exits.ts';
import { keepSecret, LOG_REDACTION } from '../../runtime/host/redaction.ts';
import { complain, guardServer } from '../../runtime/local/last-words.ts';
import type { Log } from '../../runtime/ports.ts';
import { FIRST_NAMED, saidForms, SECRET } from './canary-forms.ts';

/** With the secret everywhere where an error can hold something. */
function errorWith(text: string): Error {
  const inner = Object.assign(new TypeError(text), {
    request: { headers: { authorization: SECRET, said: text } },
    [text]: 1,
  });
  const error = Object.assign(new Error(`outer ${text}`, { cause: inner }), {
    code: 'E_SAID',
    said: [text],
    bytes: Buffer.from(text),
  });
  error.stack = `${error.name}: ${text}\n    at ${text}`;
  return error;
}

function logAll(log: Log): void {
  for (const text of saidForms()) {
    log.info(text, { plain: text, [text]: text });
    log.warn('an error', {
      error: errorWith(text),
      map: new Map([[text, text]]),
      url: new URL('http://u:p@h'),
      symbol: Symbol(text),
    });
  }
}

function allErrors(first = 0): Error {
  return new AggregateError(saidForms().slice(first).map(errorWith), 'all of them');
}

const EXITS: Readonly<Record<string, () => unknown>> = {
  console: () => logAll(openConsoleLog(LOG_REDACTION)),
  file: () => logAll(openFileLog(process.argv[3] ?? '', LOG_REDACTION)),
  stdout: () => {
    for (const text of saidForms()) print(`${text}\n`);
    for (const text of saidForms()) printJson({ text, [text]: [text], error: errorWith(text) });
  },
  stderr: () => {
    for (const text of saidForms()) tell(text);
    for (const text of saidForms()) STDERR.write(`\r${text}\x1b[K`);
    for (const text of saidForms()) tellCrash(errorWith(text));
  },
  uncaught: () => {
    guardProcess();
    throw allErrors();
  },
  rejection: () => {
    guardProcess();
    void Promise.reject(allErrors());
  },
  warning: () => {
    guardProcess();
    for (const text of saidForms()) process.emitWarning(text);
  },
  worker: () => {
    guardWorker();
    // As the worker of Azure Functions does: it prints what nobody caught.
    process.on('uncaughtException', (error) => console.error(error));
    for (const text of saidForms()) setImmediate(() => void Promise.reject(errorWith(text)));
    process.on('unhandledRejection', (error) => console.error(error));
  },
  server: () => {
    guardServer();
    for (const text of saidForms()) complain(text);
    throw allErrors(FIRST_NAMED);
  },
  infra: () => {
    const out = redactedStream(process.stdout);
    for (const text of saidForms()) out.write(`${text}\n`);
  },
};

const exit = process.argv[2] ?? '';
// The servers of the local cloud and the commands of infra know no user's secrets: what they mask, they know by its shape.
if (exit !== 'server' && exit !== 'infra') keepSecret(SECRET);
EXITS[exit]?.();
