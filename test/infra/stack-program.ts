import { type ProgramRun, runProgram } from '../../infra/preview/run-program.ts';
import type { RegisteredResource } from '../../infra/preview/registered-resource.ts';
import type { Json, JsonObject } from '../../infra/preview/wire-value.ts';
import type { StackStage } from '../../infra/stack-config.ts';
import { rawValues } from './sample-config.ts';

/** What Azure alone knows: hosts, endpoints and the parts of an identity. */
const AZURE: Readonly<Record<string, (name: string) => Readonly<Record<string, unknown>>>> = {
  'servicebus:Namespace': (name) => ({ serviceBusEndpoint: `https://${name}.servicebus.windows.net:443/` }),
  'storage:StorageAccount': (name) => ({
    primaryEndpoints: {
      blob: `https://${name}.blob.core.windows.net/`,
      table: `https://${name}.table.core.windows.net/`,
    },
  }),
  'redis:Redis': (name) => ({ hostName: `${name}.redis.cache.windows.net` }),
  'redisenterprise:RedisEnterprise': (name) => ({ hostName: `${name}.eastus.redis.azure.net` }),
  'managedidentity:UserAssignedIdentity': () => ({ principalId: 'the-principal', clientId: 'the-client' }),
  'keyvault:Vault': (name) => ({ properties: { vaultUri: `https://${name}.vault.azure.net/` } }),
  'applicationinsights:Component': () => ({ connectionString: 'InstrumentationKey=0;IngestionEndpoint=https://in/' }),
  'web:WebApp': (name) => ({ defaultHostName: `${name}.azurewebsites.net` }),
};

function answerOfAzure({ type, inputs }: RegisteredResource): Readonly<Record<string, unknown>> {
  const answer = AZURE[type.replace('azure-native:', '')];
  const names = ['name', 'namespaceName', 'accountName', 'clusterName', 'vaultName'].map((input) => inputs[input]);
  const name = names.find((value) => typeof value === 'string') ?? 'none';
  return answer?.(name) ?? {};
}

/** Runs the real program as a committed stack with changes; when it is no preview, Azure's part is made up. */
export function runStackProgram(
  stage: StackStage,
  options: { readonly isPreview?: boolean; readonly changes?: Readonly<Record<string, string | undefined>> } = {},
): Promise<ProgramRun> {
  return runProgram({
    dir: process.cwd(),
    stack: stage,
    config: rawValues(stage, options.changes),
    isPreview: options.isPreview ?? true,
    computeOutputs: answerOfAzure,
  });
}

/** Every resource of a type, written without `azure-native:`. */
export function ofType({ resources }: ProgramRun, type: string): readonly RegisteredResource[] {
  return resources.filter((resource) => resource.type.replace('azure-native:', '') === type);
}

/** The one resource of a type, or of a type and a name. */
export function only(run: ProgramRun, type: string, name?: string): RegisteredResource {
  const found = ofType(run, type).filter((resource) => name === undefined || resource.name === name);
  const [resource] = found;
  if (resource === undefined || found.length > 1)
    throw new Error(`${found.length} resources are ${type} ${name ?? ''}`);
  return resource;
}

/** A value inside inputs, by its path with dots. */
export function at(inputs: JsonObject, path: string): unknown {
  return path.split('.').reduce<unknown>((value, key) => (value as Record<string, unknown> | undefined)?.[key], inputs);
}

/** An input that must be text. */
export function text(value: Json | undefined): string {
  if (typeof value !== 'string') throw new Error(`${JSON.stringify(value)} is no text`);
  return value;
}
