import type { IncomingMessage, ServerResponse } from 'node:http';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { setImmediate as turn } from 'node:timers/promises';

import type { Scenario, ScenarioFields } from './scenarios.ts';
import type { ServedItem, TruthView } from './truth.ts';

const BODY_BYTES_MAX = 1_000_000;

const CHUNK_CHARACTERS = 64_000;

/** What the simulator has counted. */
export interface SimulatorStats {
  readonly scenario: Scenario;
  readonly epoch: number;
  readonly users: number;
  /** Completely delivered pages. */
  readonly pages: number;
  /** Items on them, repetitions included. */
  readonly items: number;
  /** Distinct (miner, user, id, content) on them. */
  readonly servedItems: number;
  /** Lines of the truth in its view `sequence`: a content that came back after another one counts again. */
  readonly truth: number;
  /** Pages asked for again right after they had been delivered, and the items on them. */
  readonly pagesAgain: number;
  readonly itemsAgain: number;
  /** Replies by status; `reset`: cut by the simulator; `lost`: the client went away first. */
  readonly calls: Readonly<Record<string, number>>;
}

/** What the admin endpoints may do. The simulator implements it for its process, the endpoints for everybody else. */
export interface SimulatorControl {
  stats(): SimulatorStats;
  truth(filter?: { miner?: string | undefined; userId?: string | undefined }, view?: TruthView): Iterable<ServedItem>;
  /** @throws Error when it is not a whole number from 0. */
  setEpoch(epoch: number): void;
  /** By name, or fields merged over the scenario that runs. @throws Error that names what is wrong. */
  setScenario(scenario: string | ScenarioFields): void;
  /** New tokens for the users whose token is refused, or for those named; returns how many. Writes the users file. */
  renewTokens(userIds?: readonly string[]): number;
}

type Fields = Readonly<Record<string, unknown>>;

/** Serves `/_sim/...`. Answers 400 with the reason when a request makes no sense. */
export async function serveAdmin(
  control: SimulatorControl,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const url = new URL(request.url ?? '/', 'http://localhost');
  const route = `${request.method} ${url.pathname}`;
  if (route === 'GET /_sim/truth') return sendTruth(control, url.searchParams, response);
  if (route === 'GET /_sim/stats') return sendJson(response, 200, await settledStats(control));
  try {
    const fields = request.method === 'POST' ? await readFields(request) : {};
    if (route === 'POST /_sim/epoch') setEpoch(control, fields);
    else if (route === 'POST /_sim/scenario') control.setScenario(fields);
    else if (route === 'POST /_sim/tokens/renew')
      return sendJson(response, 200, { renewed: control.renewTokens(textList(fields['users'])) });
    else return sendJson(response, 404, { error: `no ${route}` });
    const { epoch, scenario } = control.stats();
    sendJson(response, 200, { epoch, scenario });
  } catch (error) {
    sendJson(response, 400, { error: error instanceof Error ? error.message : String(error) });
  }
}

function setEpoch(control: SimulatorControl, fields: Fields): void {
  const { epoch, advance } = fields;
  if (typeof epoch === 'number') control.setEpoch(epoch);
  else if (typeof advance === 'number') control.setEpoch(control.stats().epoch + advance);
  else throw new Error('the body must be {"epoch":n} or {"advance":n}');
}

function textList(value: unknown): readonly string[] | undefined {
  if (value === undefined) return undefined;
  if (Array.isArray(value) && value.every((one) => typeof one === 'string')) return value;
  throw new Error('users must be a list of userIds');
}

/** A page that a client has read may still wait to be counted in this turn of the event loop. */
async function settledStats(control: SimulatorControl): Promise<SimulatorStats> {
  await turn();
  await turn();
  return control.stats();
}

async function sendTruth(control: SimulatorControl, query: URLSearchParams, response: ServerResponse): Promise<void> {
  await settledStats(control);
  const view = query.get('view') === 'sequence' ? 'sequence' : 'distinct';
  const items = control.truth({ miner: query.get('miner') ?? undefined, userId: query.get('user') ?? undefined }, view);
  response.writeHead(200, { 'content-type': 'application/x-ndjson' });
  await pipeline(Readable.from(lines(items)), response);
}

/** `data` is put in as it was served, not parsed and printed. */
function* lines(items: Iterable<ServedItem>): Generator<string> {
  let chunk = '';
  for (const { data, ...names } of items) {
    chunk += `${JSON.stringify(names).slice(0, -1)},"data":${data}}\n`;
    if (chunk.length < CHUNK_CHARACTERS) continue;
    yield chunk;
    chunk = '';
  }
  if (chunk !== '') yield chunk;
}

async function readFields(request: IncomingMessage): Promise<Fields> {
  let text = '';
  for await (const chunk of request.setEncoding('utf8') as AsyncIterable<string>) {
    text += chunk;
    if (text.length > BODY_BYTES_MAX) throw new Error(`the body must be at most ${BODY_BYTES_MAX} bytes`);
  }
  const fields: unknown = text === '' ? {} : JSON.parse(text);
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields))
    throw new Error('the body must be a JSON object');
  return fields as Fields;
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'content-type': 'application/json' }).end(`${JSON.stringify(body)}\n`);
}
