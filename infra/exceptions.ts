import { nearestOf } from '../runtime/core/nearest.ts';

/** A finding of a policy that is known and accepted until a date; the policies themselves decide what it changes. */
export interface PolicyException {
  /** Name of the policy. Whether there is one is checked where the policies run. */
  readonly policy: string;
  /** Name of the resource in the program. Absent: every resource. */
  readonly resource?: string;
  /** `advisory`: it is still said · `off`: it is not. Absent: `advisory`. */
  readonly level?: 'advisory' | 'off';
  readonly owner: string;
  readonly reason: string;
  /** Last day on which it counts, `YYYY-MM-DD`. */
  readonly expires: string;
}

/** Services whose SKU may be larger than the workload needs, for a recorded reason. */
export const SKU_SERVICES = ['serviceBus', 'redis', 'functions'] as const;

/** An exception as it stands in `Pulumi.<stack>.yaml`. */
export const EXCEPTION_EXAMPLE =
  '[{ policy: instance-limit, owner: data-platform, reason: backfill of 2026, expires: "2027-01-31" }]';

const FIELDS = ['policy', 'resource', 'level', 'owner', 'reason', 'expires'] as const;
const REQUIRED = ['policy', 'owner', 'reason'] as const;
const EXAMPLE = `Example: adit:exceptions: ${EXCEPTION_EXAMPLE}`;

/** Checks the entries of `adit:exceptions`; undefined when one of them is wrong, with every mistake in `errors`. */
export function readPolicyExceptions(
  items: readonly Readonly<Record<string, unknown>>[] | undefined,
  errors: string[],
): readonly PolicyException[] | undefined {
  if (items === undefined) return undefined;
  const mistakes = items.flatMap((item, at) =>
    mistakesIn(item).map((mistake) => `adit:exceptions, entry ${at + 1}: ${mistake}. ${EXAMPLE}`),
  );
  errors.push(...mistakes);
  // Checked field by field above.
  return mistakes.length > 0 ? undefined : (items as unknown as readonly PolicyException[]);
}

function mistakesIn(item: Readonly<Record<string, unknown>>): readonly string[] {
  const { resource, level = 'advisory', expires } = item;
  const unknown = Object.keys(item).filter((field) => !FIELDS.some((known) => known === field));
  return [
    ...unknown.map(
      (field) => `${field} is no field of an exception; did you mean ${nearestOf(field, FIELDS) ?? 'policy'}?`,
    ),
    ...REQUIRED.filter((field) => !isText(item[field])).map((field) => missing(field, item[field])),
    ...(resource === undefined || isText(resource) ? [] : [missing('resource', resource)]),
    ...(level === 'advisory' || level === 'off' ? [] : [`level must be advisory or off, got ${JSON.stringify(level)}`]),
    ...(isDay(expires) ? [] : [`expires must be a day in quotes, "YYYY-MM-DD", got ${JSON.stringify(expires)}`]),
  ];
}

function missing(field: string, value: unknown): string {
  return `${field} must be a text that is not empty, got ${JSON.stringify(value)}`;
}

function isText(value: unknown): boolean {
  return typeof value === 'string' && value.trim() !== '';
}

/** A day of the calendar: `2027-02-30` is none. */
function isDay(value: unknown): boolean {
  if (typeof value !== 'string' || !/^\d{4}-\d{2}-\d{2}$/.test(value)) return false;
  const day = new Date(`${value}T00:00:00Z`);
  return !Number.isNaN(day.getTime()) && day.toISOString().startsWith(value);
}

/** Checks `adit:skuReasons`; a name that is no service is a mistake, since its reason would excuse nothing. */
export function readSkuReasons(
  reasons: Readonly<Record<string, string>> | undefined,
  errors: string[],
): Readonly<Record<string, string>> | undefined {
  const example = 'Example: adit:skuReasons: { redis: bought before the move to managed Redis }';
  for (const [service, reason] of Object.entries(reasons ?? {})) {
    if (!SKU_SERVICES.some((known) => known === service)) {
      const near = nearestOf(service, SKU_SERVICES) ?? 'redis';
      errors.push(`adit:skuReasons: ${service} is not a service with a SKU; did you mean ${near}? ${example}`);
    } else if (reason.trim().length < REASON_CHARS_MIN) {
      errors.push(
        `adit:skuReasons: ${service} must have a reason of ${REASON_CHARS_MIN} letters or more, got ${JSON.stringify(reason)}. ${example}`,
      );
    }
  }
  return reasons;
}

/** Shorter than this, a reason is a shrug. */
const REASON_CHARS_MIN = 10;
