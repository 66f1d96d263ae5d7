import { CONNECTIONS } from '../runtime/connections.ts';
import { SETTINGS, type SettingSpec, variableOf } from '../runtime/settings.ts';
import { shortType } from './expectation.ts';
import { isInputs, look, UNKNOWN } from './inputs.ts';
import { ALWAYS, type Finding, type Resource, type Rule, unseen } from './rule.ts';

/** Kinds of resources of which a stack has exactly one. */
const SINGLE: Readonly<Record<string, readonly string[]>> = {
  'resource group': ['resources:ResourceGroup'],
  'message bus': ['servicebus:Namespace'],
  cache: ['redis:Redis', 'redisenterprise:RedisEnterprise'],
  'function app': ['web:WebApp'],
  'settings of the app': ['web:WebAppApplicationSettings'],
  identity: ['managedidentity:UserAssignedIdentity'],
  vault: ['keyvault:Vault'],
  'secret of sealing keys': ['keyvault:Secret'],
  'log workspace': ['operationalinsights:Workspace'],
  'Application Insights': ['applicationinsights:Component'],
  'action group': ['monitor:ActionGroup'],
};

/** Kinds of which there may be more, for example a second plan for a host of sockets. */
const PRESENT: Readonly<Record<string, string>> = { 'hosting plan': 'web:AppServicePlan' };

function counts(resources: readonly Resource[]): readonly Finding[] {
  const absent = Object.entries(PRESENT).filter(([, type]) => !resources.some((one) => shortType(one.type) === type));
  const single = Object.entries(SINGLE).flatMap(([noun, types]): readonly Finding[] => {
    const found = resources.filter(({ type }) => types.includes(shortType(type)));
    if (found.length === 0) return [{ urn: undefined, message: `the ${noun} is missing` }];
    return found.slice(1).map(({ urn }) => ({ urn, message: `a second ${noun}; one is enough` }));
  });
  return [...absent.map(([noun]) => ({ urn: undefined, message: `the ${noun} is missing` })), ...single];
}

/** Settings of the Functions host beside our own. */
const HOST_SETTINGS: readonly string[] = [
  'FUNCTIONS_EXTENSION_VERSION',
  'AzureWebJobsStorage__accountName',
  'AzureWebJobsStorage__credential',
  'AzureWebJobsStorage__clientId',
  'ServiceBus__fullyQualifiedNamespace',
  'ServiceBus__credential',
  'ServiceBus__clientId',
  'APPLICATIONINSIGHTS_CONNECTION_STRING',
  'APPLICATIONINSIGHTS_AUTHENTICATION_STRING',
];

/** Flex Consumption answers 400 to it. */
const REFUSED_SETTING = 'FUNCTIONS_WORKER_RUNTIME';

function ownVariables(): readonly string[] {
  const specs = Object.entries(SETTINGS) as [string, SettingSpec][];
  const settings = specs.filter(([, spec]) => spec.homeOnly !== true).map(([name]) => variableOf(name));
  const connections = Object.values(CONNECTIONS).flatMap(({ variable, writtenBy }) =>
    writtenBy === 'infra' ? [variable] : [],
  );
  return [...settings, ...connections];
}

function settings(resource: Resource): readonly Finding[] {
  const { urn } = resource;
  const properties = look(resource.inputs, 'properties');
  if (properties === UNKNOWN) return [unseen(resource, 'properties')];
  const names = isInputs(properties) ? Object.keys(properties) : [];
  const own = ownVariables();
  const missing = [...HOST_SETTINGS, ...own].filter((name) => !names.includes(name));
  const strange = names.filter((name) => name.startsWith('ADIT_') && !own.includes(name));
  const refused = names.filter((name) => name === REFUSED_SETTING || name.includes(':'));
  return [
    ...missing.map((name) => ({ urn, message: `the setting ${name} is missing` })),
    ...strange.map((name) => ({ urn, message: `nothing reads the setting ${name}` })),
    ...refused.map((name) => ({ urn, message: `Flex Consumption refuses the setting ${name}` })),
  ];
}

/** The rest of what a stack is made of; entities, ledger and lake have rules of their own. */
export const COMPLETENESS_RULES: readonly Rule[] = [
  {
    kind: 'stack',
    name: 'one-of-each',
    area: 'completeness',
    level: ALWAYS,
    what: `A stack has exactly one of each: ${Object.keys(SINGLE).join(', ')}.`,
    reason: 'A second one is paid twice and watched by nobody.',
    change: 'Add what is missing, or take the second one out.',
    check: counts,
  },
  {
    kind: 'resource',
    name: 'app-settings',
    area: 'completeness',
    level: ALWAYS,
    what: 'The app is told every setting and connection that the runtime reads, and none that it does not.',
    reason: 'A setting that is missing counts with its default, and nobody sees it.',
    change: 'Change runtime/settings.ts; what infra writes is derived from it.',
    applies: (type) => shortType(type) === 'web:WebAppApplicationSettings',
    check: settings,
  },
];
