import { describe, expect, it } from 'vitest';
import { entraRedisCredentials, objectIdOf } from '../../runtime/host/redis-login.ts';

function tokenOf(claims: object): string {
  return `header.${Buffer.from(JSON.stringify(claims)).toString('base64url')}.hush`;
}

describe('a login to Redis with an Entra token', () => {
  it('is the object id of the token, the token, and its end', async () => {
    const token = tokenOf({ oid: '7d2c', name: 'ÿ>?' });
    const asked: unknown[] = [];
    const credentials = entraRedisCredentials({
      getToken: async (scope) => {
        asked.push(scope);
        return { token, expiresOnTimestamp: 42 };
      },
    });
    expect(await credentials()).toEqual({ username: '7d2c', password: token, expiresAtMs: 42 });
    expect(asked).toEqual(['https://redis.azure.com/.default']);
  });

  it.each(['hush', 'a.hush.c', tokenOf({}), tokenOf({ oid: 7 })])(
    'names no user in %s, and the error no token',
    (token) => {
      expect(() => objectIdOf(token)).toThrow('the token for Redis names no object id (claim oid)');
    },
  );
});
