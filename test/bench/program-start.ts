// Times the start of a Pulumi program that takes its azure-native classes file by file against one that imports the
// root of the package, turn by turn in one run, so that the ratio holds on a busy machine.
// Run: npm run bench:program -- --rounds 5
import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises';
import { availableParallelism, tmpdir, totalmem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { runProgram } from '../../infra/preview/run-program.ts';

/** A resource class, the file that holds it, and inputs that its constructor accepts. */
interface ResourceClass {
  readonly module: string;
  readonly file: string;
  readonly name: string;
  readonly inputs: Readonly<Record<string, unknown>>;
}

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

const GROUP = { resourceGroupName: 'group' };
const BUS = { ...GROUP, namespaceName: 'bus' };
const ACCOUNT = { ...GROUP, accountName: 'account' };

/** What a stack of this project is made of, but for its components. */
const CLASSES: readonly ResourceClass[] = [
  classOf('resources', 'resourceGroup', GROUP),
  classOf('servicebus', 'namespace', BUS),
  classOf('servicebus', 'queue', { ...BUS, queueName: 'queue' }),
  classOf('servicebus', 'topic', { ...BUS, topicName: 'topic' }),
  classOf('servicebus', 'subscription', { ...BUS, topicName: 'topic', subscriptionName: 'lake' }),
  classOf('redis', 'redis', { ...GROUP, name: 'cache', sku: { name: 'Standard', family: 'C', capacity: 3 } }),
  classOf('redis', 'accessPolicyAssignment', {
    ...GROUP,
    cacheName: 'cache',
    accessPolicyName: 'Data Contributor',
    objectId: 'id',
    objectIdAlias: 'functions',
  }),
  classOf('storage', 'storageAccount', { ...ACCOUNT, kind: 'StorageV2', sku: { name: 'Standard_LRS' } }),
  classOf('storage', 'table', { ...ACCOUNT, tableName: 'items' }),
  classOf('storage', 'blobContainer', { ...ACCOUNT, containerName: 'lake' }),
  classOf('storage', 'managementPolicy', { ...ACCOUNT, managementPolicyName: 'default', policy: { rules: [] } }),
  classOf('keyvault', 'vault', {
    ...GROUP,
    vaultName: 'vault',
    properties: { tenantId: 'tenant', sku: { family: 'A', name: 'standard' } },
  }),
  classOf('managedidentity', 'userAssignedIdentity', GROUP),
  classOf('authorization', 'roleAssignment', { principalId: 'id', roleDefinitionId: 'role', scope: 'scope' }),
  classOf('web', 'appServicePlan', { ...GROUP, name: 'plan', sku: { name: 'FC1', tier: 'FlexConsumption' } }),
  classOf('web', 'webApp', { ...GROUP, name: 'app' }),
  classOf('web', 'webAppApplicationSettings', { ...GROUP, name: 'app' }),
  classOf('operationalinsights', 'workspace', GROUP),
  classOf('applicationinsights', 'component', {
    ...GROUP,
    kind: 'web',
    applicationType: 'web',
    workspaceResourceId: 'workspace',
  }),
  classOf('monitor', 'actionGroup', { ...GROUP, groupShortName: 'ops', enabled: true }),
];

const CONTENDERS = {
  'no class': '',
  'file by file': `${CLASSES.map(({ name, module, file }) => `import { ${name} } from '@pulumi/azure-native/${module}/${file}.js';`).join('\n')}\n${uses((one) => one.name)}`,
  'root import': `import * as azure from '@pulumi/azure-native';\n${uses((one) => `azure.${one.module}.${one.name}`)}`,
} as const;

type Contender = keyof typeof CONTENDERS;

function classOf(module: string, file: string, inputs: ResourceClass['inputs']): ResourceClass {
  return { module, file, name: `${file.charAt(0).toUpperCase()}${file.slice(1)}`, inputs };
}

function uses(constructorOf: (one: ResourceClass) => string): string {
  return CLASSES.map((one) => `new ${constructorOf(one)}('${one.name}', ${JSON.stringify(one.inputs)});`).join('\n');
}

/** Writes every contender into a folder of its own kind: a package with the packages of this repository. */
async function writePrograms(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true });
  await symlink(join(REPOSITORY, 'node_modules'), join(dir, 'node_modules'));
  await writeFile(join(dir, 'package.json'), '{"type":"module"}');
  for (const [name, text] of Object.entries(CONTENDERS))
    await writeFile(join(dir, fileOf(name)), `export {};\n${text}\n`);
}

function fileOf(contender: string): string {
  return `${contender.replaceAll(' ', '-')}.ts`;
}

/** Milliseconds from the start of the process to its end, with everything registered. */
async function timeOf(contender: Contender, dir: string): Promise<number> {
  const startMs = performance.now();
  const run = await runProgram({ dir, entry: fileOf(contender), stack: 'bench', config: {}, isPreview: true });
  const ms = performance.now() - startMs;
  const expected = contender === 'no class' ? 0 : CLASSES.length;
  if (run.resources.length !== expected) throw new Error(`${contender}: ${run.resources.length} resources`);
  return ms;
}

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((left, right) => left - right);
  return sorted[sorted.length >> 1] ?? 0;
}

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '5' }, json: { type: 'boolean', default: false } },
});
const rounds = Number(values.rounds);
const names = Object.keys(CONTENDERS) as Contender[];
const times = new Map<Contender, number[]>(names.map((name) => [name, []]));
const dir = await mkdtemp(join(tmpdir(), 'adit-bench-'));
try {
  await writePrograms(dir);
  // The first reading fills the disk cache, so it is not counted.
  for (const name of names) await timeOf(name, dir);
  for (let round = 1; round <= rounds; round += 1) {
    // Whoever goes first in one round goes last in the next.
    for (const name of round % 2 === 0 ? names.toReversed() : names) times.get(name)?.push(await timeOf(name, dir));
    process.stderr.write(`round ${round} done\n`);
  }
} finally {
  await rm(dir, { recursive: true, force: true });
}
const seconds = (name: Contender): number => Number((median(times.get(name) ?? []) / 1000).toFixed(2));
const result = {
  classes: CLASSES.length,
  rounds,
  seconds: Object.fromEntries(names.map((name) => [name, seconds(name)])),
  ratio: Number((seconds('root import') / seconds('file by file')).toFixed(2)),
};
if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
else {
  const machine = `${availableParallelism()} cores, ${Math.round(totalmem() / 2 ** 30)} GB, Node ${process.versions.node}`;
  process.stdout.write(`Program of ${CLASSES.length} resources, median of ${rounds} rounds, ${machine}\n`);
  console.table(result.seconds);
  process.stdout.write(`root import : file by file = ${result.ratio}\n`);
}
