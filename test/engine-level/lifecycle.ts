import { expect } from 'vitest';
import { miners } from '../../runtime/catalog.ts';
import { functionsOf } from '../../runtime/core/functions.ts';
import { readCloud } from '../../runtime/host/cloud-config.ts';
import { checkStackOutputs } from '../../runtime/host/stack-outputs.ts';
import { CONNECTIONS } from '../../runtime/connections.ts';
import type { StackOutputs } from '../../runtime/settings.ts';
import { damage } from '../e2e/product-copy.ts';
import type { Lab } from './lab.ts';
import { text } from './provider/resource-kind.ts';

const CODE = 'pulumi-nodejs:dynamic:Resource code';
const SETTINGS_TOKEN = 'azure-native:web:WebAppApplicationSettings';

/** A stack through its life: each function is one step, and expects what the one before has left. */
export interface Life {
  readonly lab: Lab;
  readonly stack: 'dev' | 'prod';
  /** The miner that changes, retires and goes: name, name in code, and the entities that go with it. */
  readonly miner: { readonly name: string; readonly symbol: string; readonly entities: readonly string[] };
}

/** Everything is planned, nothing is touched, and what only Azure knows is unknown. */
export async function previewsEverything({ lab, stack }: Life): Promise<void> {
  const preview = await lab.engine('preview', stack, []);
  expect(preview.code, preview.text).toBe(0);
  expect(preview.changes.length).toBeGreaterThan(50);
  expect(preview.changes.filter((change) => !change.startsWith('create '))).toEqual([]);
  expect(preview.changes).toContain(`create ${CODE}`);
  expect(preview.text).toMatch(/functionApp *: *(\[unknown\]|output<)/);
  expect(lab.azure.requests).toEqual([]);
  expect(lab.endpoint.deployments).toBe(0);
}

/** What has failed and what is missing is made, and nothing that is there is made again. */
export async function converges({ lab, stack }: Life): Promise<void> {
  const before = lab.azure.all().map(({ id }) => id);
  lab.azure.requests.length = 0;
  const up = await lab.engine('up', stack);
  expect(up.code, up.text).toBe(0);
  expect(up.changes.filter((change) => !change.startsWith('create '))).toEqual([]);
  expect(lab.azure.requests.filter((request) => before.includes(request.replace('PUT ', '')))).toEqual([]);
  expect(lab.endpoint.deployments).toBe(1);
}

/** The same program again changes nothing and asks Azure for nothing. */
export async function changesNothing({ lab, stack }: Life): Promise<void> {
  const [requests, deployments] = [lab.azure.requests.length, lab.endpoint.deployments];
  const again = await lab.engine('up', stack, ['--yes', '--skip-preview', '--expect-no-changes']);
  expect(again.code, again.text).toBe(0);
  expect(again.changes).toEqual([]);
  expect(again.unchanged).toBeGreaterThan(50);
  expect([lab.azure.requests.length, lab.endpoint.deployments]).toEqual([requests, deployments]);
}

/** What the cloud has is what the program knows. */
export async function refreshesToNothing({ lab, stack }: Life): Promise<void> {
  const refresh = await lab.engine('refresh', stack, ['--yes', '--skip-preview', '--expect-no-changes']);
  expect(refresh.code, refresh.text).toBe(0);
  expect(refresh.changes).toEqual([]);
}

/** The outputs of a stack, checked as the runtime checks them. */
export async function outputsOf({ lab, stack }: Life): Promise<StackOutputs> {
  const shown = await lab.pulumi(['stack', 'output', '--json', '--stack', stack]);
  expect(shown.code, shown.text).toBe(0);
  return checkStackOutputs(stack, shown.stdout);
}

/** A person's process and the deployed app both find every setting; only the app has secrets and an identity. */
export async function configuresTheRuntime(life: Life): Promise<void> {
  const outputs = await outputsOf(life);
  const person = readCloud(outputs.settings, { isComplete: true });
  expect(outputs.stage).toBe(life.stack);
  expect(Object.keys(outputs.settings)).not.toContain(CONNECTIONS.sealingKeys.variable);
  const [settings] = life.lab.azure.all().filter(({ token }) => token === SETTINGS_TOKEN);
  const variables = settings?.inputs['properties'] as Record<string, string>;
  const app = readCloud(variables, { isComplete: true });
  expect({ ...app, environment: {} }).toEqual({ ...person, environment: {} });
  expect(variables[CONNECTIONS.sealingKeys.variable]).toMatch(/^@Microsoft\.KeyVault\(.+\)$/);
  expect(outputs.functionApp.version).toBe(life.lab.endpoint.version());
}

/** The sealing key is in the vault, and nowhere in the state. */
export async function keepsTheKeySecret({ lab, stack }: Life): Promise<void> {
  const [secret] = lab.azure.all().filter(({ token }) => token === 'azure-native:keyvault:Secret');
  const key = text(secret?.inputs, 'properties', 'value') ?? '';
  expect(key).toMatch(/^k1:[A-Za-z0-9+/]{43}=$/);
  const state = await lab.pulumi(['stack', 'export', '--stack', stack]);
  expect(state.code).toBe(0);
  expect(state.stdout).toContain('sealing-keys');
  expect(state.stdout.includes(key.slice('k1:'.length))).toBe(false);
}

/** The deployed code has exactly the functions of the catalog. */
export function runsTheCatalog({ lab }: Life): void {
  const names = (kind: string): string[] =>
    functionsOf(miners)
      .filter((declared) => declared.kind === kind)
      .map(({ name }) => name)
      .sort();
  const { app } = lab.endpoint;
  expect(app.namesOf('timerTrigger')).toEqual(names('timer'));
  expect(app.namesOf('serviceBusTrigger')).toEqual(names('queue'));
  expect(app.namesOf('httpTrigger')).toEqual(names('http'));
}

/** Another line in a miner is another archive, and nothing else. */
export async function deploysOnlyCode(life: Life): Promise<void> {
  const { lab, stack, miner } = life;
  const before = await outputsOf(life);
  await damage(lab.root, `runtime/miners/${miner.name}.ts`, /cacheTtlMs: /, 'cacheTtlMs: 2 * ');
  lab.azure.requests.length = 0;
  const up = await lab.engine('up', stack);
  expect(up.code, up.text).toBe(0);
  expect(up.changes).toEqual([`update ${CODE}`]);
  expect(lab.azure.requests).toEqual([]);
  const after = await outputsOf(life);
  expect(after.functionApp.version).not.toBe(before.functionApp.version);
  expect(after.functionApp.version).toBe(lab.endpoint.version());
}

/** A retired miner is not fired any more; what waits in its queue is still mined. */
export async function retires({ lab, stack, miner }: Life): Promise<void> {
  const entities = entityIds(lab);
  await damage(lab.root, `runtime/miners/${miner.name}.ts`, /lane: /, 'retired: true,\n  lane: ');
  const up = await lab.engine('up', stack);
  expect(up.code, up.text).toBe(0);
  expect(up.changes).toContain(`update ${CODE}`);
  expect(up.changes.filter((change) => change.startsWith('delete '))).toEqual([]);
  expect(entityIds(lab)).toEqual(entities);
  expect(lab.endpoint.app.namesOf('timerTrigger')).not.toContain(`fire${pascal(miner.symbol)}`);
  expect(lab.endpoint.app.namesOf('serviceBusTrigger')).toContain(`mine${pascal(miner.symbol)}`);
}

/** Takes a miner's line out of the catalog. */
export async function dropLine({ lab, miner }: Life): Promise<void> {
  await damage(lab.root, 'runtime/catalog.ts', new RegExp(`import \\{ ${miner.symbol} \\} .*\\n`), '');
  await damage(lab.root, 'runtime/catalog.ts', new RegExp(`(\\[[^\\]]*), ${miner.symbol}(?=[,\\]])`), '$1');
}

/** Without its line a miner's queue, topic and subscription go, and no other. */
export async function removes(life: Life): Promise<void> {
  const { lab, stack, miner } = life;
  const before = entityIds(lab);
  await dropLine(life);
  const up = await lab.engine('up', stack);
  expect(up.code, up.text).toBe(0);
  const deleted = up.changes.filter((change) => change.startsWith('delete azure-native:servicebus:'));
  const names = deleted.map((change) => change.split(' ').at(-1) ?? '');
  expect(new Set(names)).toEqual(new Set(miner.entities));
  expect(before.length - entityIds(lab).length).toBe(miner.entities.length);
  expect(lab.endpoint.app.namesOf('serviceBusTrigger')).not.toContain(`mine${pascal(miner.symbol)}`);
}

function entityIds(lab: Lab): readonly string[] {
  return ['Queue', 'Topic', 'Subscription'].flatMap((kind) => lab.azure.idsOf(`azure-native:servicebus:${kind}`));
}

const pascal = (camel: string): string => `${camel.charAt(0).toUpperCase()}${camel.slice(1)}`;
