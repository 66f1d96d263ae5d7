import { describe, expect, it } from 'vitest';
import { readCloud } from '../../runtime/host/cloud-config.ts';
import { type ConnectionSpec, CONNECTIONS } from '../../runtime/connections.ts';
import { type SettingSpec, SETTINGS, variableOf } from '../../runtime/settings.ts';

/** What a stack writes for its function app. */
const APP = Object.fromEntries(
  Object.values<ConnectionSpec>(CONNECTIONS)
    .filter(({ writtenBy }) => writtenBy === 'infra')
    .map(({ variable, example }) => [variable, example]),
);

/** Connections of a cloud that is entered with keys. */
const EMULATOR = {
  ADIT_SERVICE_BUS_CONNECTION_STRING: CONNECTIONS.bus.example,
  ADIT_STORAGE_CONNECTION_STRING: CONNECTIONS.storage.example,
  ADIT_UPSTREAM_URLS: '{"graph":"http://127.0.0.1:8080/"}',
};

describe('the configuration of a process in the cloud', () => {
  it('is read of what a stack writes for its function app, with the defaults of the cloud', () => {
    const config = readCloud(APP);
    expect(config).toMatchObject({
      bus: { namespace: 'adit-dev.servicebus.windows.net' },
      storage: {
        tablesUrl: 'https://aditdevdata.table.core.windows.net',
        lakeUrl: 'https://aditdevdata.blob.core.windows.net/lake',
      },
      redis: { host: 'adit-dev.eastus.redis.azure.net', port: 10_000 },
      baseUrls: { graph: 'https://graph.example.com' },
    });
    expect(config.settings.userCallsPerSecond).toBe(SETTINGS.userCallsPerSecond.cloud);
    expect(config.environment.identityClientId).toBe(CONNECTIONS.identityClientId.example);
  });

  it('may be entered with keys, and have no Redis', () => {
    expect(readCloud(EMULATOR)).toMatchObject({
      bus: { connectionString: CONNECTIONS.bus.example },
      storage: { connectionString: 'UseDevelopmentStorage=true' },
      redis: undefined,
      baseUrls: { graph: 'http://127.0.0.1:8080' },
    });
    expect(readCloud({ ...EMULATOR, REDIS_URL: 'redis://127.0.0.1:1' }).redis).toEqual({ url: 'redis://127.0.0.1:1' });
  });

  it('names everything that is missing at once, and the next command', () => {
    expect(() => readCloud({})).toThrow(
      /ADIT_UPSTREAM_URLS is missing[^]*ADIT_SERVICE_BUS_NAMESPACE is missing[^]*ADIT_TABLES_URL is missing[^]*ADIT_LAKE_URL is missing[^]*\nNext: pulumi up$/,
    );
  });

  it('wants every setting where a stack has to say it, but those of home', () => {
    const numbers = Object.fromEntries(
      Object.entries<SettingSpec>(SETTINGS)
        .filter(([, { homeOnly }]) => homeOnly !== true)
        .map(([name, { cloud }]) => [variableOf(name), String(cloud)]),
    );
    expect(readCloud({ ...APP, ...numbers }, { isComplete: true }).settings.lingerMs).toBe(1000);
    const { ADIT_LINGER_MS: _, ...rest } = numbers;
    expect(() => readCloud({ ...APP, ...rest }, { isComplete: true })).toThrow(/^ADIT_LINGER_MS is missing/);
  });

  it('lets the settings of a person win', () => {
    const overrides = [{ name: 'lingerMs', text: '5', origin: '--set' }];
    expect(readCloud({ ...APP, ADIT_LINGER_MS: '7' }, { overrides }).settings.lingerMs).toBe(5);
  });

  it.each<[Record<string, string>, RegExp]>([
    [{ ADIT_BOGUS: '1' }, /ADIT_BOGUS: there is no such setting/],
    [{ ADIT_LINGER_MS: '-1' }, /lingerMs must be a whole number/],
    [{ ADIT_SERVICE_BUS_NAMESPACE: 'sb://x' }, /ADIT_SERVICE_BUS_NAMESPACE must be a host name, got "sb:\/\/x"/],
    [{ ADIT_TABLES_URL: 'http://x' }, /ADIT_TABLES_URL must be an https URL/],
    [{ ADIT_LAKE_URL: 'https://x/?sig=hush' }, /ADIT_LAKE_URL must be an https URL/],
    [{ ADIT_REDIS_ADDRESS: 'redis.example.com' }, /ADIT_REDIS_ADDRESS must be host:port/],
    [{ ADIT_REDIS_ADDRESS: 'redis.example.com:0' }, /ADIT_REDIS_ADDRESS must be host:port/],
    [{ ADIT_UPSTREAM_URLS: '[]' }, /ADIT_UPSTREAM_URLS must be a JSON object/],
    [{ ADIT_UPSTREAM_URLS: '{}' }, /the upstream graph has no address/],
    [{ ADIT_UPSTREAM_URLS: '{"graph":"http://graph.example.com"}' }, /graph must be an https URL/],
    [{ ADIT_UPSTREAM_URLS: '{"graph":"https://a:b@graph.example.com"}' }, /graph must be an https URL/],
    [{ ADIT_UPSTREAM_URLS: '{"graph":"https://x.example","other":"https://x.example"}' }, /has no upstream "other"/],
  ])('refuses %j', (change, message) => {
    expect(() => readCloud({ ...APP, ...change })).toThrow(message);
  });

  it('refuses two answers to one question, without their secrets', () => {
    const read = (): unknown =>
      readCloud({
        ...APP,
        ...EMULATOR,
        ADIT_STORAGE_CONNECTION_STRING: 'AccountKey=hush',
        REDIS_URL: 'redis://:hush@x',
      });
    expect(read).toThrow(/ADIT_SERVICE_BUS_CONNECTION_STRING and ADIT_SERVICE_BUS_NAMESPACE say two different things/);
    expect(read).toThrow(/ADIT_STORAGE_CONNECTION_STRING and ADIT_TABLES_URL and ADIT_LAKE_URL say/);
    expect(read).toThrow(/REDIS_URL and ADIT_REDIS_ADDRESS say/);
    expect(read).not.toThrow(/hush/);
  });

  it('never repeats a Redis URL, which holds a password', () => {
    const read = (): unknown => readCloud({ ...EMULATOR, REDIS_URL: 'hush@x' });
    expect(read).toThrow(/REDIS_URL must be a redis:\/\//);
    expect(read).not.toThrow(/hush/);
  });
});
