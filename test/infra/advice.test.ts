import { describe, expect, it } from 'vitest';
import { cacheAdvice, vaultAdvice } from '../../infra/advice.ts';

const refused = (...errors: readonly string[]) => ({ failedOperation: 'create', errors });

describe('advice about a refused cache', () => {
  it('names the switch when Azure does not create the kind', () => {
    const advice = cacheAdvice(refused('Code="BadRequest" Message="Azure Cache for Redis can no longer be created"'));
    expect(advice).toContain('pulumi config set adit:redis managed-b5');
  });

  it.each([
    'Code="NameNotAvailable" Message="The name adit-prod is taken"',
    'Code="AuthorizationFailed"',
    'Code="MissingSubscriptionRegistration"',
    'context deadline exceeded',
  ])('keeps silent about %s, which another kind would not mend', (error) => {
    expect(cacheAdvice(refused(error))).toBeUndefined();
  });

  it('keeps silent when the cache exists already', () => {
    expect(cacheAdvice({ failedOperation: 'update', errors: ['Code="BadRequest"'] })).toBeUndefined();
  });
});

describe('advice about a refused vault', () => {
  it('says how to free the name of a vault that was deleted', () => {
    const error = 'A vault with the same name already exists in deleted state. You need to either recover or purge it.';
    expect(vaultAdvice('adit7-dev', refused(error))).toContain('az keyvault purge --name adit7-dev');
  });

  it('keeps silent about anything else', () => {
    expect(vaultAdvice('adit7-dev', refused('Code="AuthorizationFailed"'))).toBeUndefined();
  });
});
