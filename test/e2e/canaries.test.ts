import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it, onTestFinished } from 'vitest';
import { openServiceBus } from '../../runtime/adapters/service-bus.ts';
import { openSqliteLedger } from '../../runtime/adapters/sqlite-ledger.ts';
import { systemClock, systemRandom } from '../../runtime/adapters/system.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { partitionsOf } from '../../runtime/core/keys.ts';
import { entitiesOf, INGESTION_QUEUE, routeOf } from '../../runtime/core/route.ts';
import { sendToDeadLetters } from '../../runtime/engine/dead-letter.ts';
import { FunctionsApp } from '../../runtime/host/functions-app.ts';
import { registerFunctions } from '../../runtime/host/functions-register.ts';
import { guardBus, guardMeter } from '../../runtime/host/guarded-ports.ts';
import { keepSecret } from '../../runtime/host/redaction.ts';
import type { Bus } from '../../runtime/ports.ts';
import { BrokerProcess } from '../contract/bus/broker-process.ts';
import { CHATS, pipelineRig } from '../engine/pipeline-rig.ts';
import { TestClock } from '../fakes/test-clock.ts';
import { captureFunctions } from '../host/functions-core-stub.ts';
import { adit, emptyFolder, type Ended, until } from './adit.ts';
import { countExit, type ExitCount, FIRST_NAMED, FORMS, saidForm, saidForms, SECRET } from './canary-forms.ts';
import { mineOnce } from './lake-rows.ts';
import { startRefusingRedis } from './refusing-redis.ts';
import { type Call, page, plainItems, refusal, type Reply, startUpstream } from './scripted-upstream.ts';
import { CANARY } from '../core/secret-samples.ts';

const PROCESS = join(import.meta.dirname, 'canary-process.ts');

/** Users whose reasons a run lists on stderr. */
const LISTED = 10;

const counts: ExitCount[] = [];

/** Forms that go through every exit at least. */
const FORMS_MIN = 40;

/** Everything that came out of an exit: no canary in it, and every form was there. */
function judge(exit: string, text: string, forms = FORMS.length): void {
  expect(judgeAtLeast(exit, text, forms), `forms through ${exit}`).toBe(forms);
}

/** The same where chance decides which forms come by. How many did. */
function judgeAtLeast(exit: string, text: string, formsMin: number): number {
  const count = countExit(exit, text);
  counts.push(count);
  expect(count.found, exit).toEqual([]);
  expect(count.forms, `forms through ${exit}`).toBeGreaterThanOrEqual(formsMin);
  return count.forms;
}

afterAll(() => {
  const most = Math.max(0, ...counts.map(({ forms }) => forms));
  const found = counts.reduce((sum, count) => sum + count.found.length, 0);
  const lines = counts.map(({ exit, forms }) => `  ${exit.padEnd(44)} ${forms} forms`);
  process.stderr.write(`canaries: ${most} forms x ${counts.length} exits, ${found} found\n${lines.join('\n')}\n`);
});

async function say(exit: string, ...args: readonly string[]): Promise<Ended> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', PROCESS, exit, ...args]);
  const texts = { stdout: '', stderr: '' };
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (texts.stdout += chunk));
  child.stderr.setEncoding('utf8').on('data', (chunk: string) => (texts.stderr += chunk));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, ...texts };
}

describe('a process that says every form of a secret', () => {
  it.each([
    ['log on the console', 'console', 0],
    ['stdout: texts and JSON', 'stdout', 0],
    ['stderr: lines, drawings and crashes', 'stderr', 0],
    ['uncaught error', 'uncaught', 1],
    ['unhandled rejection', 'rejection', 1],
    ['warning', 'warning', 0],
    ['uncaught error in a worker of the Functions host', 'worker', 0],
  ])('does not say the secret: %s', async (name, exit, code) => {
    const ended = await say(exit);
    expect(ended.code, ended.stderr).toBe(code);
    judge(name, ended.stdout + ended.stderr);
  });

  it('does not say the secret: log file', async () => {
    const file = join(await emptyFolder(), 'adit.log');
    expect(await say('file', file)).toMatchObject({ code: 0, stderr: '' });
    judge('log file: messages, fields, errors and causes', await readFile(file, 'utf8'));
  });

  it.each([
    ['server of the local cloud', 'server', 1],
    ['preview and preflight', 'infra', 0],
  ])('does not say what is shaped like a secret, where it knows none: %s', async (name, exit, code) => {
    const ended = await say(exit);
    expect(ended.code, ended.stderr).toBe(code);
    const text = ended.stdout + ended.stderr;
    const named = text
      .split(/(?=#form-\d+#)/)
      .filter((part) => Number(/^#form-(\d+)#/.exec(part)?.[1] ?? -1) >= FIRST_NAMED)
      .join('');
    judge(name, named, FORMS.length - FIRST_NAMED);
  });
});

/** All texts in all files below a folder, unpacked where they are packed. */
async function filesBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const texts = new Map<string, string>();
  for (const name of await readdir(folder, { recursive: true })) {
    const file = join(folder, name);
    if (!(await stat(file)).isFile()) continue;
    const bytes = await readFile(file);
    texts.set(name, (name.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1'));
  }
  return texts;
}

/** A proxy that refuses every tunnel and repeats the credentials that it was sent. */
async function startRefusingProxy(): Promise<number> {
  const server = createServer();
  server.on('connect', (request, socket) => {
    const sent = request.headers['proxy-authorization'] ?? '';
    const plain = Buffer.from(sent.replace('Basic ', ''), 'base64').toString();
    socket.end(
      `HTTP/1.1 407 no ${plain}\r\nproxy-authenticate: Basic realm="${plain} ${sent}"\r\ncontent-length: ${plain.length}\r\n\r\n${plain}`,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return (server.address() as AddressInfo).port;
}

/** Says the form of the user's number in a message, and the token in everything else that an answer has. */
function echo(call: Call): Reply {
  if (call.userId === 'good') {
    const at = Number(call.after ?? 0);
    return page(plainItems(`i${at}-`, 2), at < 2 * FORMS.length ? String(at + 1) : undefined);
  }
  const form = Number(call.userId.slice(1));
  const headers = {
    location: `http://127.0.0.1:1/?access_token=${call.token}`,
    'x-app-usage': `{"call_count":1,"said":"${call.token}"}`,
    'www-authenticate': `Bearer error="${call.token}"`,
    'set-cookie': `sess=${call.token}`,
  };
  const status = [403, 401, 400, 302][form % 4] ?? 403;
  return refusal(status, { code: 10, message: saidForm(form, call.token), type: 'E', said: call.token }, headers);
}

const tokenOf = (form: number): string => `${SECRET}-${String(form).padStart(3, '0')}`;

const BATCHES = Array.from({ length: Math.ceil(FORMS.length / LISTED) }, (_, batch) =>
  FORMS.slice(batch * LISTED, (batch + 1) * LISTED).map((_form, at) => batch * LISTED + at),
);

describe('npm start against an upstream, a proxy and a Redis that repeat what they were sent', () => {
  it('lets no secret out, whatever they say, and keeps none at rest', { timeout: 600_000 }, async () => {
    const upstream = await startUpstream(echo);
    const password = `${SECRET}-redis`;
    const redis = await startRefusingRedis((command) =>
      saidForm(command % FORMS.length, password).replaceAll(/[\r\n]/g, ' '),
    );
    const proxyPort = await startRefusingProxy();
    const state = join(await emptyFolder(), 'state');
    const env = { REDIS_URL: `redis://:${encodeURIComponent(password)}@127.0.0.1:${redis.port}` };
    const ended: Ended[] = [];
    for (const [batch, forms] of BATCHES.entries()) {
      const users = forms.map((form) => ({ userId: `f${form}`, accessToken: tokenOf(form) }));
      const more = [{ userId: 'good', accessToken: `${SECRET}-good` }];
      const args = [
        ...['--set', 'userCallsPerSecond=1000', '--set', 'upstreamCallsPerSecond=1000', '--set', 'memoryTierEntries=0'],
        ...['--set', 'retryLaterMs=1', '--set', 'inlineWaitMs=10000'],
      ];
      const one = await mineOnce({ upstream, state, users: batch === 0 ? [...users, ...more] : users, args, env });
      expect(one.code, one.stderr).toBe(0);
      ended.push(one);
    }
    const proxyUrl = `http://${CANARY}-cust:${CANARY}-p%40ss@127.0.0.1:${proxyPort}`;
    const users = [{ userId: 'p0', accessToken: `${SECRET}-p`, proxyUrl }];
    // The breaker of a way that nobody can use closes it for longer and longer; what was said is said by then.
    const refused = await mineOnce({ upstream, state, users, args: ['--max-wait', '10s'], env });
    expect([0, 3], refused.stderr).toContain(refused.code);
    ended.push(refused);
    judge('stderr of npm start: reasons of users set aside', ended.map(({ stderr }) => stderr).join('\n'));
    const files = await filesBelow(state);
    const log = files.get('adit.log') ?? '';
    // Which commands meet which form is a matter of time; all forms go into a log file above.
    judgeAtLeast('log file of npm start: a Redis that refuses', log, FORMS_MIN);
    judge('run rows', await runRows(state));
    // The users' own tokens are in here as well, sealed; so are the queues, with their journals and pages that are free again.
    expect([...files.keys()]).toEqual(expect.arrayContaining(['ledger.db', 'adit.log', 'sealing-keys']));
    expect([...files.keys()].some((name) => name.startsWith('broker/'))).toBe(true);
    judge('every file of the state folder', [...files.values()].join('\n'));
    expect(ended.map(({ stdout }) => stdout).join('\n')).not.toContain(CANARY);
    expect(files.get('adit.log')).not.toBe('');
    await judgeCommands(state);
  });
});

async function runRows(state: string): Promise<string> {
  const ledger = openSqliteLedger({ file: join(state, 'ledger.db') });
  try {
    const rows: string[] = [];
    for (const partition of partitionsOf('chats'))
      for await (const row of ledger.runs.scan(partition)) rows.push(row.value);
    return rows.join('\n');
  } finally {
    await ledger.close();
  }
}

/** The commands over the same folder, and a file of users with a secret wherever a mistake can be. */
async function judgeCommands(state: string): Promise<void> {
  const texts: string[] = [];
  const run = async (...args: string[]): Promise<void> => {
    const ended = await adit('adit', [...args, '--state', state]);
    texts.push(ended.stdout, ended.stderr);
  };
  await run('users', 'list');
  await run('export');
  await run('users', 'rotate-key', '--json');
  await run('users', 'remove', 'f0');
  await run('nonsense', `--token=${SECRET}`);
  const named = FORMS.map((_, form) => form).filter((form) => form >= FIRST_NAMED);
  for (let at = 0; at < named.length; at += 20) {
    const file = `${state}-bad-${at}.ndjson`;
    const lines = named
      .slice(at, at + 20)
      .map((form) => JSON.stringify({ userId: `f${form}`, accessToken: `${SECRET}\n`, [saidForm(form)]: 1 }));
    await writeFile(file, `${lines.join('\n')}\n`);
    await run('users', 'import', file);
  }
  judge('adit users list, import, remove, rotate-key; export', texts.join('\n'), named.length);
}

describe('the functions of the deployed app', () => {
  it('throw no secret at their host, and tell none about their health', async () => {
    keepSecret(SECRET);
    const texts: string[] = [];
    const reports: string[] = [];
    for (const text of saidForms()) {
      const rig = pipelineRig({ clock: new TestClock(), script: () => ({ status: 500, headers: {}, text: '{}' }) });
      const open = async (): Promise<never> => {
        throw Object.assign(new Error(text, { cause: new Error(text) }), { headers: { said: text }, code: text });
      };
      const app = new FunctionsApp({ open, version: text, hostId: 'host-1', clock: new TestClock(), log: rig.log });
      const core = await captureFunctions(() => registerFunctions(functionsOf([CHATS]), app, 'v1'));
      for (const name of ['fireChats', 'monitor'])
        texts.push(await core.tick(name).then(String, (error: unknown) => inspect(error, { depth: 9 })));
      texts.push(
        await core
          .invoke('mineChats', { bytes: Buffer.from(text) }, { MessageId: { string: 'm' } })
          .then(String, (error: unknown) => inspect(error, { depth: 9 })),
      );
      reports.push(JSON.stringify(await core.get('health')));
    }
    judge('errors that functions throw at their host', texts.join('\n'));
    judge('health report', reports.join('\n'));
  });

  it('count under labels without a secret', () => {
    keepSecret(SECRET);
    const labels: string[] = [];
    const meter = guardMeter({ count: (...counted) => void labels.push(JSON.stringify(counted)) });
    for (const text of saidForms()) meter.count('pages', 1, { miner: text });
    judge('labels of the meter', labels.join('\n'));
  });
});

describe('dead letters on the local broker', () => {
  it('have no secret in their reasons, descriptions and properties', async () => {
    keepSecret(SECRET);
    const broker = await BrokerProcess.start(entitiesOf([CHATS]));
    onTestFinished(() => broker.remove());
    const connect = { connectionString: broker.connectionString };
    const plain = openServiceBus({ connect, clock: systemClock, random: systemRandom });
    onTestFinished(() => plain.close());
    const bus = guardBus(plain);
    const queue = routeOf(CHATS).miningQueue;
    const texts = saidForms();
    const message = (text: string, at: number) => ({
      ...{ messageId: systemRandom.uuid(), body: Buffer.from(String(at)), contentType: 'x' },
      properties: { note: text, n: at },
    });
    await bus.send(queue, texts.map(message));
    const refusing = bus.consume(queue, { concurrency: 8, onError: () => undefined }, async ({ body }) => {
      const text = texts[Number(Buffer.from(body).toString())] ?? '';
      return { settlement: { kind: 'dead-letter', reason: text, description: `why: ${text}` } };
    });
    const dead = await receive(plain, `${queue}/$DeadLetterQueue`, texts.length);
    await refusing.stop(5_000);
    judge('dead letters that a consumer makes', dead.join('\n'));

    // The way of a host that can only complete or abandon: a copy with the reason in its properties.
    for (const [at, text] of texts.entries()) {
      const incoming = {
        ...message(text, at),
        subject: undefined,
        sessionId: undefined,
        deliveryCount: 0,
        enqueuedAtMs: 0,
      };
      await sendToDeadLetters({ bus, random: systemRandom }, INGESTION_QUEUE, incoming, {
        kind: 'dead-letter',
        reason: text,
        description: text,
      });
    }
    const copies = await receive(plain, `${INGESTION_QUEUE}/$DeadLetterQueue`, texts.length);
    judge('dead letters that a function makes', copies.join('\n'));
  });
});

/** Properties of so many messages, as anybody sees them who lists the queue. */
async function receive(bus: Bus, entity: string, count: number): Promise<readonly string[]> {
  const seen: string[] = [];
  const consumer = bus.consume(entity, { concurrency: 8, onError: () => undefined }, async ({ properties }) => {
    seen.push(JSON.stringify(properties));
    return { settlement: { kind: 'complete' } };
  });
  await until(() => seen.length >= count, 120_000, `${count} messages of ${entity}, ${seen.length} are here`);
  await consumer.stop(5_000);
  return seen;
}
