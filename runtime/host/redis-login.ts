import type { TokenCredential } from '@azure/identity';
import type { RedisCredentials, RedisCredentialSource } from '../adapters/redis-credentials.ts';

/** Azure Cache for Redis and Azure Managed Redis take tokens of this scope (learn.microsoft.com, "Microsoft Entra for cache authentication", 2026-11). */
const SCOPE = 'https://redis.azure.com/.default';

/** Entra tokens as Redis credentials: the user is the object id of whom the token was given to. */
export function entraRedisCredentials(credential: TokenCredential): RedisCredentialSource {
  return async (): Promise<RedisCredentials> => {
    const token = await credential.getToken(SCOPE);
    if (token === null) throw new Error('the login gave no token for Redis');
    return { username: objectIdOf(token.token), password: token.token, expiresAtMs: token.expiresOnTimestamp };
  };
}

/** The claim `oid` of a token. It is only read, not checked: Redis does that. @throws Error without the token in it. */
export function objectIdOf(token: string): string {
  const payload = token.split('.')[1] ?? '';
  try {
    const claims = JSON.parse(Buffer.from(payload, 'base64url').toString('utf8')) as { oid?: unknown };
    if (typeof claims.oid === 'string' && claims.oid !== '') return claims.oid;
  } catch {
    // No JSON: the same as a token without the claim, and the error of the parser would quote it.
  }
  throw new Error('the token for Redis names no object id (claim oid)');
}
