import {
  durationSeconds,
  GUID,
  IN_GROUP,
  type Inputs,
  number,
  objects,
  outside,
  type Around,
  type Refusal,
  type ResourceKind,
  text,
  when,
} from './resource-kind.ts';
import { metricRefusal } from './metrics.ts';

const RETENTION_DAYS = [30, 60, 90, 120, 180, 270, 365, 550, 730];

/** Logs, metrics, alerts, workbooks and budgets. */
export const WATCHING: Readonly<Record<string, ResourceKind>> = {
  'azure-native:operationalinsights:Workspace': {
    path: `${IN_GROUP}/Microsoft.OperationalInsights/workspaces/{workspaceName}`,
    type: 'Microsoft.OperationalInsights/workspaces',
    name: {
      pattern: /^(?=.{4,63}$)[A-Za-z0-9][A-Za-z0-9-]*[A-Za-z0-9]$/,
      rule: '4 to 63 letters, digits and hyphens, with a letter or digit at both ends',
    },
    refuse: (inputs) => [
      outside(number(inputs, 'retentionInDays'), [30, 730], 'retentionInDays'),
      when(
        (number(inputs, 'workspaceCapping', 'dailyQuotaGb') ?? 1) < 0.023,
        'InvalidParameter',
        'The daily quota must be at least 0.023 GB.',
      ),
    ],
    outputs: (_inputs, id) => ({ customerId: id.length.toString(16).padStart(8, '0') }),
  },
  'azure-native:applicationinsights:Component': {
    path: `${IN_GROUP}/Microsoft.Insights/components/{resourceName}`,
    type: 'Microsoft.Insights/components',
    name: {
      pattern: /^[^%&\\?/]{1,260}(?<![ .])$/,
      rule: '1 to 260 characters without % & \\ ? / and not ending with a space or period',
    },
    refuse: (inputs, around) => [
      when(
        text(inputs, 'workspaceResourceId') === undefined || around.find(inputs['workspaceResourceId']) === undefined,
        'BadRequest',
        'A workspace is required: classic Application Insights is retired.',
      ),
      when(
        !RETENTION_DAYS.includes(number(inputs, 'retentionInDays') ?? 90),
        'BadRequest',
        `RetentionInDays must be one of ${RETENTION_DAYS.join(', ')}.`,
      ),
      outside(number(inputs, 'samplingPercentage'), [0, 100], 'SamplingPercentage'),
    ],
    outputs: (inputs) => ({
      instrumentationKey: '00000000-0000-4000-8000-000000000000',
      appId: '00000000-0000-4000-8000-000000000001',
      connectionString:
        'InstrumentationKey=00000000-0000-4000-8000-000000000000;' +
        `IngestionEndpoint=https://${text(inputs, 'location') ?? 'eastus'}-0.in.applicationinsights.azure.com/`,
    }),
  },
  'azure-native:applicationinsights:Workbook': {
    path: `${IN_GROUP}/Microsoft.Insights/workbooks/{resourceName}`,
    type: 'Microsoft.Insights/workbooks',
    name: { pattern: GUID, rule: 'a GUID' },
    refuse: (inputs) => [
      when(!isJson(text(inputs, 'serializedData')), 'BadRequest', 'The serialized data of a workbook must be JSON.'),
    ],
  },
  'azure-native:monitor:ActionGroup': {
    path: `${IN_GROUP}/Microsoft.Insights/actionGroups/{actionGroupName}`,
    type: 'Microsoft.Insights/actionGroups',
    name: { pattern: /^[^:<>+/&%\\?|]{1,260}$/, rule: '1 to 260 characters without : < > + / & % \\ ? |' },
    refuse: (inputs) => [
      when(
        !/^.{1,12}$/.test(text(inputs, 'groupShortName') ?? ''),
        'BadRequest',
        'The short name of an action group has 1 to 12 characters.',
      ),
      ...namesTwice(inputs, 'emailReceivers').map((name) => ({
        code: 'BadRequest',
        message: `The receiver name '${name}' occurs twice.`,
      })),
    ],
  },
  'azure-native:monitor:MetricAlert': {
    path: `${IN_GROUP}/Microsoft.Insights/metricAlerts/{ruleName}`,
    type: 'Microsoft.Insights/metricAlerts',
    name: {
      pattern: /^[^*#&+:<>?@%{}\\/]{1,260}(?<![ .])$/,
      rule: '1 to 260 characters without * # & + : < > ? @ % { } \\ /',
    },
    refuse: alertRefusals,
  },
  'azure-native:monitor:ScheduledQueryRule': {
    path: `${IN_GROUP}/Microsoft.Insights/scheduledQueryRules/{ruleName}`,
    type: 'Microsoft.Insights/scheduledQueryRules',
    name: { pattern: /^[^*#&+:<>?@%{}\\/]{1,260}$/, rule: '1 to 260 characters without * # & + : < > ? @ % { } \\ /' },
    refuse: (inputs, around) => scopeRefusals(inputs, around),
  },
  'azure-native:monitor:DiagnosticSetting': {
    path: '/{resourceUri}/providers/Microsoft.Insights/diagnosticSettings/{name}',
    type: 'Microsoft.Insights/diagnosticSettings',
  },
  'azure-native:consumption:Budget': {
    path: '/{scope}/providers/Microsoft.Consumption/budgets/{budgetName}',
    type: 'Microsoft.Consumption/budgets',
    name: { pattern: /^[\w-]{1,63}$/, rule: '1 to 63 letters, digits, hyphens and underscores' },
    refuse: budgetRefusals,
  },
};

function isJson(value: string | undefined): boolean {
  if (value === undefined) return true;
  try {
    JSON.parse(value);
    return true;
  } catch {
    return false;
  }
}

function scopeRefusals(inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const scopes = (inputs['scopes'] ?? []) as readonly unknown[];
  return scopes.map((scope) =>
    when(around.find(scope) === undefined, 'ResourceNotFound', `The resource '${String(scope)}' was not found.`),
  );
}

const FREQUENCIES = ['PT1M', 'PT5M', 'PT15M', 'PT30M', 'PT1H'];
const WINDOWS = [...FREQUENCIES, 'PT6H', 'PT12H', 'P1D'];

function alertRefusals(inputs: Inputs, around: Around): readonly (Refusal | undefined)[] {
  const every = text(inputs, 'evaluationFrequency') ?? '';
  const window = text(inputs, 'windowSize') ?? '';
  const actions = objects(inputs, 'actions').map((action) => text(action, 'actionGroupId'));
  return [
    outside(number(inputs, 'severity'), [0, 4], 'severity'),
    when(
      text(inputs, 'location')?.toLowerCase() !== 'global',
      'LocationNotAvailableForResourceType',
      `The location '${text(inputs, 'location')}' is not available for resource type 'microsoft.insights/metricAlerts': use 'global'.`,
    ),
    when(
      !FREQUENCIES.includes(every),
      'BadRequest',
      `EvaluationFrequency '${every}' is none of ${FREQUENCIES.join(', ')}.`,
    ),
    when(!WINDOWS.includes(window), 'BadRequest', `WindowSize '${window}' is none of ${WINDOWS.join(', ')}.`),
    when(
      (durationSeconds(window) ?? 0) < (durationSeconds(every) ?? 0),
      'BadRequest',
      'WindowSize must not be shorter than EvaluationFrequency.',
    ),
    ...actions.map((id) =>
      when(around.find(id) === undefined, 'ResourceNotFound', `The action group '${id}' was not found.`),
    ),
    ...scopeRefusals(inputs, around),
    ...objects(inputs, 'criteria', 'allOf').map((criterion) => metricRefusal(criterion, inputs, around)),
  ];
}

function budgetRefusals(inputs: Inputs, around: Around, id: string): readonly (Refusal | undefined)[] {
  const start = new Date(text(inputs, 'timePeriod', 'startDate') ?? '');
  const end = text(inputs, 'timePeriod', 'endDate');
  const monthBegin = Date.UTC(around.now.getUTCFullYear(), around.now.getUTCMonth(), 1);
  const isNew = around.find(id) === undefined;
  const notifications = Object.entries((inputs['notifications'] ?? {}) as Readonly<Record<string, Inputs>>);
  return [
    when(Number.isNaN(start.getTime()), 'BadRequest', 'The start date of the budget is no date.'),
    when(start.getUTCDate() !== 1, 'BadRequest', 'The start date of a budget must be the first day of a month.'),
    when(
      isNew && start.getTime() < monthBegin,
      'BadRequest',
      'The start date of a monthly budget must not be before the current month.',
    ),
    when(end !== undefined && new Date(end) <= start, 'BadRequest', 'The end date must be after the start date.'),
    when((number(inputs, 'amount') ?? 0) <= 0, 'BadRequest', 'The amount of a budget must be more than 0.'),
    when(notifications.length > 5, 'BadRequest', 'A budget has at most 5 notifications.'),
    ...notifications.flatMap(([name, notification]) => [
      outside(number(notification, 'threshold'), [0.01, 1000], `notifications.${name}.threshold`),
      when(
        [notification['contactEmails'], notification['contactRoles'], notification['contactGroups']].every(
          (contacts) => !Array.isArray(contacts) || contacts.length === 0,
        ),
        'BadRequest',
        `The notification '${name}' tells nobody: it needs contact emails, roles or groups.`,
      ),
    ]),
  ];
}

/** Receivers of an action group may not share a name. */
function namesTwice(inputs: Inputs, list: string): readonly string[] {
  const names = objects(inputs, list).map((receiver) => text(receiver, 'name') ?? '');
  return names.filter((name, index) => names.indexOf(name) !== index);
}
