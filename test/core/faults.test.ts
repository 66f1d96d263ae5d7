import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { deadLetterOf, Fault, FAULTS, type FaultCode, type PageFaultCode } from '../../runtime/core/faults.ts';

const CODES = Object.keys(FAULTS) as FaultCode[];

/** Code of the product without the table itself. */
function sources(): string {
  const root = join(process.cwd(), 'runtime');
  return readdirSync(root, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts') && file !== join('core', 'faults.ts'))
    .map((file) => readFileSync(join(root, file), 'utf8'))
    .join('\n');
}

describe('the table of faults', () => {
  const text = sources();

  it.each(CODES)('%s is raised somewhere: no code is dead', (code) => {
    expect(text).toContain(`'${code}'`);
  });

  it.each(CODES)('%s has one treatment, one settlement and one section of the playbook', (code) => {
    const { treatment, settlement, playbook, scope } = FAULTS[code];
    const goesOn = ['wait', 'retry', 'stop', 'postpone'].includes(treatment);
    const expected = goesOn ? 'schedule' : treatment === 'bury' ? 'dead-letter' : 'complete';
    expect(settlement).toBe(expected);
    expect(playbook).toMatch(/^[a-z-]+$/);
    const ofMessages = ['bury', 'postpone', 'mark'];
    expect(ofMessages.includes(treatment)).toBe(scope === 'message');
  });

  it('is where a fault takes its treatment from, and a dead letter its reason', () => {
    const pageCodes = CODES.filter((code) => FAULTS[code].scope !== 'message') as PageFaultCode[];
    expect(pageCodes.length).toBeGreaterThan(15);
    for (const code of pageCodes) {
      const fault = new Fault(code, 'why');
      expect([fault.treatment, fault.scope]).toEqual([FAULTS[code].treatment, FAULTS[code].scope]);
    }
    expect(deadLetterOf('poison-message', 'why')).toEqual({
      kind: 'dead-letter',
      reason: 'poison-message',
      description: 'why',
    });
  });
});
