import { spawnSync } from 'node:child_process';
import { isAzuriteInstalled } from '../azurite/start.ts';

/**
 * The rule for tests that need a server on this machine: without it they are skipped, loudly, so that a first
 * `npm test` passes on a bare laptop; where `CI` is `true` its absence is a failure, so that nothing stays skipped unseen.
 */
function isHere(server: string, isPresent: boolean, howToGet: string): boolean {
  if (isPresent) return true;
  const message = `${server} is missing. To get it: ${howToGet}`;
  if (process.env['CI'] === 'true') throw new Error(`${message} (CI must run every test)`);
  process.stderr.write(`\n!!! TESTS SKIPPED: ${message}\n\n`);
  return false;
}

/** For `describe.runIf`: whether `redis-server` is on the PATH. @throws Error when it is missing and `CI` is `true`. */
export function isRedisHere(): boolean {
  const found = spawnSync('sh', ['-c', 'command -v redis-server']).status === 0;
  return isHere('redis-server', found, 'apt-get install redis-server (Debian, Ubuntu), brew install redis (macOS)');
}

/** For `describe.runIf`: whether Azurite is installed. @throws Error when it is missing and `CI` is `true`. */
export function isAzuriteHere(): boolean {
  return isHere('Azurite (the Azure storage emulator)', isAzuriteInstalled(), 'npm ci --prefix test/azurite');
}

/** For `describe.runIf`: whether `openssl` is on the PATH. @throws Error when it is missing and `CI` is `true`. */
export function isOpensslHere(): boolean {
  const found = spawnSync('openssl', ['version']).status === 0;
  return isHere('openssl', found, 'apt-get install openssl (Debian, Ubuntu); macOS has it');
}
