import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { PROVIDERS } from '../../infra/preflight/checks.ts';

/** What this Azure says; everything is as `pulumi up` needs it unless a test changes it. */
export interface ArmFacts {
  subscriptions: { subscriptionId: string; displayName: string }[];
  registered: readonly string[];
  permissions: { actions: string[]; notActions: string[] }[];
  flexRegions: readonly string[];
  nodeVersions: readonly string[];
  /** Names that somebody has. */
  taken: readonly string[];
  /** Paths of resources that are in this subscription. */
  existing: readonly string[];
  /** The error of a validation. */
  refusal: { code: string; message: string } | undefined;
  /** Statuses of the next answers, before the real ones. */
  statuses: number[];
}

/** A server that answers like Azure Resource Manager, as far as preflight asks it. */
export interface FakeArm {
  readonly url: string;
  readonly facts: ArmFacts;
  /** Method and path of every request, and whether it carried the token. */
  readonly requests: { line: string; authorization: string | undefined; body: unknown }[];
  close(): Promise<void>;
}

export const SUBSCRIPTION = '11111111-2222-3333-4444-555555555555';

export async function startFakeArm(): Promise<FakeArm> {
  const facts: ArmFacts = {
    subscriptions: [{ subscriptionId: SUBSCRIPTION, displayName: 'Mining' }],
    registered: PROVIDERS,
    permissions: [{ actions: ['*'], notActions: [] }],
    flexRegions: ['East US', 'West Europe'],
    nodeVersions: ['20', '22'],
    taken: [],
    existing: [],
    refusal: undefined,
    statuses: [],
  };
  const requests: FakeArm['requests'] = [];
  const server = createServer((request, response) => {
    void textOf(request).then((text) => {
      const body: unknown = text === '' ? undefined : JSON.parse(text);
      const url = new URL(request.url ?? '', 'http://arm');
      requests.push({ line: `${request.method} ${url.pathname}`, authorization: request.headers.authorization, body });
      const status = facts.statuses.shift();
      const answer =
        status === undefined
          ? answerOf(facts, url, body)
          : { status, body: { error: { code: 'Busy', message: 'later' } } };
      response.writeHead(answer.status, { 'content-type': 'application/json', 'retry-after': '0' });
      response.end(JSON.stringify(answer.body));
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    facts,
    requests,
    async close() {
      server.close();
      server.closeAllConnections();
      await once(server, 'close');
    },
  };
}

function answerOf(facts: ArmFacts, url: URL, body: unknown): { status: number; body: unknown } {
  const path = url.pathname;
  if (!url.searchParams.has('api-version')) return failure(400, 'MissingApiVersionParameter', 'no api-version');
  if (path === '/subscriptions') return { status: 200, body: { value: facts.subscriptions } };
  const rest = path.slice(`/subscriptions/${SUBSCRIPTION}`.length);
  if (path.endsWith('/functionAppStacks')) return { status: 200, body: stacksOf(facts.nodeVersions) };
  if (!path.startsWith(`/subscriptions/${SUBSCRIPTION}`))
    return failure(404, 'SubscriptionNotFound', 'no such subscription');
  if (rest === '') return { status: 200, body: facts.subscriptions[0] };
  if (rest === '/providers') {
    const value = [...PROVIDERS, 'Microsoft.Batch'].map((namespace) => ({
      namespace: namespace.toLowerCase().replace('microsoft', 'Microsoft'),
      registrationState: facts.registered.includes(namespace) ? 'Registered' : 'NotRegistered',
    }));
    return { status: 200, body: { value } };
  }
  if (rest.endsWith('/permissions')) return { status: 200, body: { value: facts.permissions } };
  if (rest.endsWith('/geoRegions'))
    return { status: 200, body: { value: facts.flexRegions.map((name) => ({ name })) } };
  if (rest.endsWith('/validate')) {
    if (facts.refusal === undefined) return { status: 200, body: { properties: { provisioningState: 'Succeeded' } } };
    const outer = { code: 'InvalidTemplateDeployment', message: 'see details', details: [facts.refusal] };
    return { status: 400, body: { error: outer } };
  }
  if (/checknameavailability$/i.test(rest)) return nameAnswer(facts, rest, (body as { name: string }).name);
  if (facts.existing.some((name) => rest.endsWith(`/${name}`))) return { status: 200, body: { id: path } };
  return failure(404, 'ResourceNotFound', 'not there');
}

function nameAnswer(facts: ArmFacts, rest: string, name: string): { status: number; body: unknown } {
  const isTaken = facts.taken.includes(name);
  if (rest.includes('Microsoft.Cache'))
    return isTaken ? failure(409, 'NameNotAvailable', 'in use') : { status: 200, body: null };
  return {
    status: 200,
    body: isTaken ? { nameAvailable: false, reason: 'AlreadyExists', message: 'in use' } : { nameAvailable: true },
  };
}

function stacksOf(versions: readonly string[]): unknown {
  const minorVersions = versions.map((version) => ({
    stackSettings: {
      linuxRuntimeSettings: {
        Sku: [{ skuCode: 'FC1', functionAppConfigProperties: { runtime: { name: 'node', version } } }],
      },
    },
  }));
  const dotnet = {
    stackSettings: {
      linuxRuntimeSettings: {
        Sku: [{ skuCode: 'FC1', functionAppConfigProperties: { runtime: { name: 'dotnet', version: '99' } } }],
      },
    },
  };
  return {
    value: [
      { properties: { value: 'dotnet', majorVersions: [{ minorVersions: [dotnet] }] } },
      { properties: { value: 'node', majorVersions: [{ minorVersions }] } },
    ],
  };
}

function failure(status: number, code: string, message: string): { status: number; body: unknown } {
  return { status, body: { error: { code, message } } };
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
