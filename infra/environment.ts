import type { Input } from '@pulumi/pulumi';
import { CONNECTIONS, type ConnectionSpec, type InfraConnectionName } from '../runtime/connections.ts';

/** What a stack connects its function app with: leaving one out does not compile. */
export type InfraConnections = Readonly<Record<InfraConnectionName, Input<string>>>;

/** Environment variables and their values, which may not be known before the deployment. */
export type Environment = Readonly<Record<string, Input<string>>>;

/** Variables of the function app: every setting of the plan and every connection. */
export function appEnvironment(settings: Readonly<Record<string, string>>, connections: InfraConnections): Environment {
  return environmentOf(settings, connections, () => true);
}

/**
 * Variables of a process that a person runs with a login of their own: the same without the identity, which only the app has, and
 * without secrets.
 */
export function personEnvironment(
  settings: Readonly<Record<string, string>>,
  connections: InfraConnections,
): Environment {
  return environmentOf(settings, connections, (name) => name !== 'identityClientId' && !CONNECTIONS[name].isSecret);
}

function environmentOf(
  settings: Readonly<Record<string, string>>,
  connections: InfraConnections,
  isWanted: (name: InfraConnectionName) => boolean,
): Environment {
  const environment: Record<string, Input<string>> = { ...settings };
  for (const [name, value] of Object.entries(connections) as [InfraConnectionName, Input<string>][]) {
    const { variable }: ConnectionSpec = CONNECTIONS[name];
    if (isWanted(name)) environment[variable] = value;
  }
  return environment;
}
