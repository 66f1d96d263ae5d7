import { unknownCheckingProxy, UnknownValueError } from '@pulumi/policy';
import { describe, expect, it } from 'vitest';
import { look, lookList, readInputs, shown, UNKNOWN } from '../../policies/inputs.ts';

/** What Pulumi sends for a text that is not known yet. */
const UNKNOWN_TEXT = '04da6b54-80e4-46f7-96ec-b56ff0331ba9';

/** As @pulumi/policy hands the inputs of a resource to a rule. */
function asInPreview(props: Readonly<Record<string, unknown>>): Readonly<Record<string, unknown>> {
  // The package exports it without its type.
  const wrap = unknownCheckingProxy as (props: object) => unknown;
  return wrap(props) as Readonly<Record<string, unknown>>;
}

describe('inputs in a preview', () => {
  const props = asInPreview({
    known: 'text',
    hidden: UNKNOWN_TEXT,
    sku: { name: 'Standard', capacity: UNKNOWN_TEXT },
    list: [{ name: 'a' }, UNKNOWN_TEXT, 3],
    nothing: null,
  });

  it('throw when an unknown one is read, which a rule must not die of', () => {
    expect(() => props['hidden']).toThrow(UnknownValueError);
  });

  it('are read to their end, with a mark for what is not known', () => {
    expect(readInputs(props)).toEqual({
      known: 'text',
      hidden: UNKNOWN,
      sku: { name: 'Standard', capacity: UNKNOWN },
      list: [{ name: 'a' }, UNKNOWN, 3],
      nothing: null,
    });
  });

  it('end at a depth that no resource has, so that a cycle ends too', () => {
    const cycle: Record<string, unknown> = { name: 'a' };
    cycle['self'] = cycle;
    expect(JSON.stringify(readInputs(cycle)).length).toBeLessThan(1000);
  });

  it('are looked up by path', () => {
    const inputs = readInputs(props);
    expect(look(inputs, 'sku.name')).toBe('Standard');
    expect(look(inputs, 'list.0.name')).toBe('a');
    expect(look(inputs, 'sku.tier.name')).toBeUndefined();
    expect(look(inputs, 'hidden.below')).toBe(UNKNOWN);
    expect(lookList(inputs, 'nowhere')).toEqual([]);
    expect(lookList(inputs, 'hidden')).toBe(UNKNOWN);
  });

  it('are shown without the mark of Pulumi', () => {
    expect([shown(undefined), shown(UNKNOWN), shown('a'), shown({ a: UNKNOWN })]).toEqual([
      'absent',
      'not known yet',
      '"a"',
      '{"a":"not known yet"}',
    ]);
  });
});
