import { shortType } from './expectation.ts';
import { look, UNKNOWN } from './inputs.ts';
import { ADVICE, type Finding, type Resource, type ResourceRule, unseen } from './rule.ts';

/** A service that its owner ends. */
interface Retirement {
  readonly type: string;
  /** Input that tells whether it is this one; absent: every resource of the type is. */
  readonly path?: string;
  readonly form?: RegExp;
  readonly service: string;
  /** `YYYY-MM-DD`. */
  readonly date: string;
  readonly successor: string;
}

/** Dates as their documents said them on 2026-11-23. */
const RETIREMENTS: readonly Retirement[] = [
  {
    type: 'redis:Redis',
    service: 'Azure Cache for Redis',
    date: '2028-09-30',
    successor: 'Azure Managed Redis (adit:redis: managed-b5)',
  },
  {
    type: 'redisenterprise:RedisEnterprise',
    path: 'sku.name',
    form: /^Enterprise(Flash)?_/,
    service: 'Azure Cache for Redis Enterprise, which cannot be created any more,',
    date: '2027-03-31',
    successor: 'Azure Managed Redis (Balanced_B5)',
  },
  {
    type: 'web:AppServicePlan',
    path: 'sku.name',
    form: /^Y1$/,
    service: 'The Consumption plan on Linux',
    date: '2028-09-30',
    successor: 'Flex Consumption (FC1)',
  },
];

/** Months before its end at which a retiring service is refused. */
const NOTICE_MONTHS = 12;

function retiring(resource: Resource, today: string): readonly Finding[] {
  const type = shortType(resource.type);
  return RETIREMENTS.filter((row) => row.type === type).flatMap(({ path, form, service, date, successor }) => {
    const value = path === undefined ? undefined : look(resource.inputs, path);
    if (path !== undefined && value === UNKNOWN) return [unseen(resource, path)];
    if (form !== undefined && !(typeof value === 'string' && form.test(value))) return [];
    const message = `${service} retires on ${date}; its successor is ${successor}`;
    return [
      { urn: resource.urn, message, level: today >= monthsBefore(date, NOTICE_MONTHS) ? 'mandatory' : 'advisory' },
    ];
  });
}

function monthsBefore(date: string, months: number): string {
  const day = new Date(`${date}T00:00:00Z`);
  day.setUTCMonth(day.getUTCMonth() - months);
  return day.toISOString().slice(0, 10);
}

/** Nobody builds on what ends soon. */
export const RETIREMENT_RULE: ResourceRule = {
  kind: 'resource',
  name: 'no-retired-service',
  area: 'cost',
  level: ADVICE,
  what: `A service that retires is said, and refused from ${NOTICE_MONTHS} months before its end.`,
  reason:
    'Microsoft, retirement notices as of 2026-09-17: a move takes a plan, and the last months are full of others who move.',
  change: 'Move to the successor that the message names.',
  applies: (type) => RETIREMENTS.some((row) => row.type === shortType(type)),
  check: (resource, { today }) => retiring(resource, today),
};
