/** What a policy says, as `--json` prints it. */
export interface Finding {
  /** Name of the rule. */
  readonly policy: string;
  /** `mandatory` refuses the change. */
  readonly level: 'advisory' | 'mandatory';
  /** `<type> <name>` of the resource; null: the stack as a whole. */
  readonly resource: string | null;
  /** What must hold, what does not, and what to do. */
  readonly message: string;
}

/** Tells two findings apart: the same words about the same resource are the same finding. */
export function findingKey({ policy, level, resource, message }: Finding): string {
  return JSON.stringify([policy, level, resource, message]);
}

/** The findings as lines: what refuses the change first. */
export function findingLines(findings: readonly Finding[]): readonly string[] {
  if (findings.length === 0) return ['policies: nothing found'];
  const mandatory = findings.filter(({ level }) => level === 'mandatory');
  const advisory = findings.filter(({ level }) => level === 'advisory');
  return [
    `policies: ${mandatory.length} mandatory, ${advisory.length} advisory`,
    ...[...mandatory, ...advisory].flatMap(({ policy, level, resource, message }) => [
      `  ${level}  ${policy}  ${resource ?? 'the stack'}`,
      `    ${message}`,
    ]),
  ];
}
