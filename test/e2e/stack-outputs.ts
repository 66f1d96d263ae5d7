import {
  type SettingSpec,
  SETTINGS,
  STACK_OUTPUTS_VERSION,
  type StackOutputs,
  variableOf,
} from '../../runtime/settings.ts';

/** Outputs of a stack with the numbers of a machine that need not wait, and the connections of the test. */
export function stackOutputs(connections: Readonly<Record<string, string>>): StackOutputs {
  const numbers = Object.entries<SettingSpec>(SETTINGS)
    .filter(([, { homeOnly }]) => homeOnly !== true)
    .map(([name, { home }]) => [variableOf(name), String(home)] as const);
  return {
    schemaVersion: STACK_OUTPUTS_VERSION,
    stage: 'dev',
    settings: { ...Object.fromEntries(numbers), ...connections },
    resourceGroup: 'adit-dev',
    functionApp: { name: 'adit-dev-functions', hostname: 'adit-dev-functions.azurewebsites.net', version: '1' },
    dashboardUrl: 'https://portal.azure.com/#dashboard',
  };
}
