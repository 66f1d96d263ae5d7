import { describe, expect, it } from 'vitest';
import { checkStackOutputs } from '../../runtime/host/stack-outputs.ts';
import { STACK_OUTPUTS_VERSION } from '../../runtime/settings.ts';
import { stackOutputs } from '../e2e/stack-outputs.ts';

const GOOD = stackOutputs({ ADIT_UPSTREAM_URLS: '{}' });

describe('the outputs of a stack', () => {
  it('are read as they were written, and what a later version of the same shape adds is left out', () => {
    expect(checkStackOutputs('dev', JSON.stringify({ ...GOOD, more: 1 }))).toEqual(GOOD);
  });

  it.each<[string, string, RegExp]>([
    [
      'a newer version, whatever it looks like',
      `{"schemaVersion":${STACK_OUTPUTS_VERSION + 1}}`,
      /newer version[^]*git pull/,
    ],
    ['nothing deployed', '{}', /has no outputs[^]*Next: pulumi up -s dev/],
    ['no JSON', 'Please choose a stack:', /did not answer with the outputs/],
    ['a version that is missing', JSON.stringify({ ...GOOD, schemaVersion: undefined }), /schemaVersion: /],
    [
      'a setting that is no text',
      JSON.stringify({ ...GOOD, settings: { A: 1 } }),
      /settings\.A: [^]*Next: pulumi up -s dev/,
    ],
    ['no function app', JSON.stringify({ ...GOOD, functionApp: {} }), /functionApp\.name: [^]*functionApp\.version: /],
  ])('are refused: %s', (_, text, message) => {
    expect(() => checkStackOutputs('dev', text)).toThrow(message);
  });
});
