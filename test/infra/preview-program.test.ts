import { execFileSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { beforeAll, describe, expect, it } from 'vitest';
import { ProgramFault } from '../../infra/preview/program-fault.ts';
import { type ProgramRun, type RunOptions, runProgram } from '../../infra/preview/run-program.ts';
import { SECRET, UNKNOWN } from '../../infra/preview/wire-value.ts';

const FIXTURES = fileURLToPath(new URL('fixtures', import.meta.url));

const RUN_LIMIT_MS = 60_000;

const CONFIG = { 'adit:stage': 'dev', 'adit:regions': '["eastus","westus"]', 'adit:token': 'the-token-itself' };

function run(entry: string, options: Partial<RunOptions> = {}): Promise<ProgramRun> {
  const secretKeys = ['adit:token'];
  return runProgram({ dir: FIXTURES, entry, stack: 'small', config: CONFIG, secretKeys, isPreview: true, ...options });
}

async function faultOf(entry: string, options: Partial<RunOptions> = {}): Promise<ProgramFault> {
  const fault: unknown = await run(entry, options).catch((error: unknown) => error);
  if (fault instanceof ProgramFault) return fault;
  throw new Error('the program did not fail as one does', { cause: fault });
}

const named = ({ resources }: ProgramRun, name: string) => {
  const resource = resources.find((candidate) => candidate.name === name);
  if (resource === undefined) throw new Error(`${name} was not registered`);
  return resource;
};

describe('a program that runs to its end', { timeout: RUN_LIMIT_MS }, () => {
  const texts: string[] = [];
  let result: ProgramRun;
  beforeAll(async () => {
    result = await run('small-program.ts', { onText: (text) => texts.push(text) });
  }, RUN_LIMIT_MS);

  it('registers every resource with its inputs, options and place, and no stack', () => {
    expect(result.resources.map(({ name }) => name).toSorted()).toEqual([
      'bus',
      'code',
      'group',
      'messaging',
      'mine-fans',
    ]);
    const bus = named(result, 'bus');
    const group = named(result, 'group');
    expect(bus).toEqual({
      type: 'azure-native:servicebus:Namespace',
      name: 'bus',
      urn: 'urn:pulumi:small::adit::adit:test:Messaging$azure-native:servicebus:Namespace::bus',
      parentUrn: 'urn:pulumi:small::adit::adit:test:Messaging::messaging',
      isCustom: true,
      isRead: false,
      inputs: {
        resourceGroupName: 'adit-dev',
        namespaceName: 'bus-of-tests',
        publicNetworkAccess: 'Enabled',
        sku: { name: 'Standard', tier: 'Standard' },
      },
      providerUrn: undefined,
      options: {
        protect: true,
        retainOnDelete: true,
        ignoreChanges: ['tags'],
        dependsOn: [group.urn],
        propertyDependencies: {
          resourceGroupName: [group.urn],
          namespaceName: [],
          publicNetworkAccess: [],
          sku: [],
        },
      },
    });
    expect(named(result, 'mine-fans').options.dependsOn).toContain(bus.urn);
    expect(group.parentUrn).toBeUndefined();
    expect(result.diagnostics).toEqual([{ severity: 'warning', message: 'one thing to know', urn: undefined }]);
    expect(texts.join('')).toBe('said by the program\n');
  });

  it('leaves in a preview unknown what only the cloud knows, and reads the name that was given', () => {
    const queue = named(result, 'mine-fans');
    expect(queue.inputs).toMatchObject({ queueName: 'bus-of-tests-fans', forwardTo: UNKNOWN });
    expect(result.outputs).toMatchObject({ queueName: 'bus-of-tests-fans', queueId: UNKNOWN, busSku: UNKNOWN });
  });

  it('knows everything outside of a preview, and what it is told that the cloud computes', async () => {
    const created = await run('small-program.ts', {
      isPreview: false,
      computeOutputs: ({ name }) => (name === 'bus' ? { serviceBusEndpoint: 'https://bus.example.com' } : {}),
    });
    const id =
      '/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/adit-dev/providers/servicebus/Namespace/bus';
    expect(named(created, 'mine-fans').inputs).toMatchObject({ forwardTo: `${id}/queues/all` });
    expect(created.outputs).toMatchObject({ busSku: 'Standard', endpoint: 'https://bus.example.com' });
    expect(JSON.stringify(created)).not.toContain(UNKNOWN);
  });

  it('keeps no secret, neither of the configuration nor of the program', () => {
    expect(named(result, 'code').inputs).toMatchObject({ token: SECRET, hash: 'abc123' });
    expect(result.outputs['connection']).toBe(SECRET);
    expect(JSON.stringify(result)).not.toMatch(/the-token-itself|very-secret-text/);
  });

  it('stands for serialised code by a hash that two runs share', async () => {
    const code = named(result, 'code').inputs['__provider'];
    expect(code).toMatch(/^\[code [0-9a-f]{12}\]$/);
    expect(named(await run('small-program.ts'), 'code').inputs['__provider']).toBe(code);
  });

  it('hands over configuration, and answers who the caller is with zeros', () => {
    expect(result.outputs).toMatchObject({
      regions: ['eastus', 'westus'],
      tenant: '00000000-0000-0000-0000-000000000000',
    });
  });

  it('may look up what exists, choose a provider and bind hooks', async () => {
    const reading = await run('reading-program.ts');
    expect(named(reading, 'old')).toMatchObject({ isRead: true, type: 'azure-native:resources:ResourceGroup' });
    expect(reading.outputs).toEqual({ oldId: '/subscriptions/s/resourceGroups/old' });
    expect(named(reading, 'fresh')).toMatchObject({
      isRead: false,
      providerUrn: 'urn:pulumi:small::adit::pulumi:providers:azure-native::elsewhere',
      inputs: { location: 'westus' },
    });
  });

  it('sees nothing of the environment but what it is given', async () => {
    const given = { variables: { GIVEN: 'yes' } };
    const { outputs } = await run('environment-program.ts', given);
    expect(outputs['names']).not.toContain('HOME');
    expect(outputs['names']).toContain('GIVEN');
  });
});

describe('a program that gives no result', { timeout: RUN_LIMIT_MS }, () => {
  it('is refused with all its reasons, once and without a stack, when it does not accept its configuration', async () => {
    const { kind, message } = await faultOf('refusing-program.ts');
    expect({ kind, message }).toEqual({
      kind: 'refused',
      message: 'adit:stage must be dev or prod, got "test".\nadit:prefix must have 2..8 letters, got "".',
    });
  });

  it('counts as refused when it logs an error, although it ends well', async () => {
    expect(await faultOf('logging-program.ts')).toMatchObject({ kind: 'refused', message: 'something is wrong' });
  });

  it('keeps its stack, without colours, when it crashes', async () => {
    const { kind, message } = await faultOf('crashing-program.ts');
    expect(kind).toBe('crashed');
    expect(message).toMatch(/TypeError: nothing to read here\n {4}at breakHere .*crashing-program\.ts:7/);
    expect(message.split('nothing to read here')).toHaveLength(2);
  });

  it('names the function that only Azure could answer', async () => {
    const { kind, message } = await faultOf('asking-program.ts');
    expect(kind).toBe('crashed');
    expect(message).toContain('cannot answer the function azure-native:storage:listStorageAccountKeys');
  });

  it('may not give two resources one name', async () => {
    const { message } = await faultOf('doubled-program.ts');
    expect(message).toContain('urn:pulumi:small::adit::azure-native:resources:ResourceGroup::group');
  });

  it('is quoted when it leaves without a message', async () => {
    expect(await faultOf('quitting-program.ts')).toMatchObject({
      kind: 'crashed',
      message: 'The program ended with code 7 and left no message.\nthe last words',
    });
  });

  it('is ended at the limit, which the message names', async () => {
    const pids: number[] = [];
    const fault = await faultOf('endless-program.ts', {
      limitMs: 3000,
      onText: (text) => pids.push(Number(/process (\d+)/.exec(text)?.[1])),
    });
    expect(fault.kind).toBe('limit');
    expect(fault.message).toContain('within 3 s');
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('is ended when the caller stops', async () => {
    const stop = new AbortController();
    const pids: number[] = [];
    const onText = (text: string): void => {
      pids.push(Number(/process (\d+)/.exec(text)?.[1]));
      stop.abort();
    };
    expect(await faultOf('endless-program.ts', { signal: stop.signal, onText })).toMatchObject({ kind: 'stopped' });
    expect(pids).toHaveLength(1);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  it('does not start when the caller has stopped before', async () => {
    expect(await faultOf('endless-program.ts', { signal: AbortSignal.abort() })).toMatchObject({ kind: 'stopped' });
  });
});

function isRunning(pid: number): boolean {
  try {
    return execFileSync('ps', ['-o', 'stat=', '-p', String(pid)], { encoding: 'utf8' }).trim() !== '';
  } catch {
    // ps ends with 1 when there is no such process.
    return false;
  }
}
