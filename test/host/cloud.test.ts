import { build } from 'esbuild';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { readCloud } from '../../runtime/host/cloud-config.ts';
import { openCloud } from '../../runtime/host/cloud.ts';
import { miners } from '../../runtime/catalog.ts';
import { CONNECTIONS } from '../../runtime/connections.ts';

const ROOT = join(import.meta.dirname, '../..');

const LOG = { info: () => undefined, warn: () => undefined };

const APP = {
  ADIT_SERVICE_BUS_NAMESPACE: CONNECTIONS.busNamespace.example,
  ADIT_TABLES_URL: CONNECTIONS.tablesUrl.example,
  ADIT_LAKE_URL: CONNECTIONS.lakeUrl.example,
  ADIT_UPSTREAM_URLS: CONNECTIONS.upstreamUrls.example,
  ADIT_SEALING_KEYS: `k1:${Buffer.alloc(32, 7).toString('base64')}`,
};

describe('a cloud that is opened', () => {
  it('asks for nothing until something is mined, so that a start is cheap', async () => {
    let asked = 0;
    const credential = {
      getToken: async () => {
        asked += 1;
        return { token: 't', expiresOnTimestamp: Date.now() + 3_600_000 };
      },
    };
    const cloud = await openCloud({ config: readCloud(APP), log: LOG, credential });
    cloud.openPipeline(miners);
    expect(cloud.baseUrls).toEqual({ graph: 'https://graph.example.com' });
    expect(cloud.facts).toEqual({
      broker: 'adit-dev.servicebus.windows.net',
      cache: 'none: the ledger is asked',
      storage: 'ledger in Azure Tables, lake in Azure Blobs (aditdevdata)',
    });
    await cloud.close();
    await cloud.close();
    expect(asked).toBe(0);
  });

  it('names the identity that is missing', async () => {
    await expect(openCloud({ config: readCloud(APP), log: LOG })).rejects.toThrow(
      /^ADIT_IDENTITY_CLIENT_ID is missing[^]*Next: pulumi up$/,
    );
  });

  it('takes nothing of this machine with it: no SQLite, no local servers, no command line', async () => {
    const { metafile } = await build({
      entryPoints: [join(ROOT, 'runtime/host/cloud.ts')],
      absWorkingDir: ROOT,
      bundle: true,
      write: false,
      metafile: true,
      platform: 'node',
      format: 'cjs',
    });
    const files = Object.keys(metafile.inputs);
    expect(files).toContain('runtime/adapters/table-ledger.ts');
    expect(
      files.filter((file) => /^runtime\/(local\/|adapters\/(sqlite|file))|node_modules\/commander\//.test(file)),
    ).toEqual([]);
    const ours = Object.entries(metafile.inputs).filter(([file]) => file.startsWith('runtime/'));
    expect(ours.flatMap(([, { imports }]) => imports.map(({ path }) => path))).not.toContain('node:sqlite');
  });
});
