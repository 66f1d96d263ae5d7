import { describe, expect, it } from 'vitest';
import { scmHostnameOf } from '../../infra/functions.ts';

describe('the host of the deployment endpoint', () => {
  it('is the one that Azure tells', () => {
    const states = [
      { name: 'adit-dev.azurewebsites.net', hostType: 'Standard' },
      { name: 'adit-dev.scm.azurewebsites.net', hostType: 'Repository' },
    ];
    expect(scmHostnameOf([states, 'other.example.com'])).toBe('adit-dev.scm.azurewebsites.net');
  });

  it.each([
    ['adit-dev.azurewebsites.net', 'adit-dev.scm.azurewebsites.net'],
    ['adit-dev-b2c3.eastus-01.azurewebsites.net', 'adit-dev-b2c3.scm.eastus-01.azurewebsites.net'],
  ])('is derived from the host %s where Azure is silent', (hostname, expected) => {
    expect(scmHostnameOf([undefined, hostname])).toBe(expected);
  });
});
