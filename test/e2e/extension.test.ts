import { cp, readFile, symlink, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { adit, emptyFolder, lastJson, REPOSITORY } from './adit.ts';

/** A copy of the product to add a file to, as an adopter would. */
async function copyOfProduct(): Promise<string> {
  const root = await emptyFolder();
  await cp(join(REPOSITORY, 'runtime'), join(root, 'runtime'), { recursive: true });
  await cp(join(REPOSITORY, 'package.json'), join(root, 'package.json'));
  await symlink(join(REPOSITORY, 'node_modules'), join(root, 'node_modules'));
  return root;
}

/** Adds one import and one entry to a list of the catalog. */
async function addToCatalog(root: string, list: 'miners' | 'upstreams', name: string, file: string): Promise<void> {
  const path = join(root, 'runtime/catalog.ts');
  const text = await readFile(path, 'utf8');
  const opening = new RegExp(`(export const ${list}[^=]*= \\[)`);
  expect(text).toMatch(opening);
  await writeFile(path, `import { ${name} } from './${file}';\n${text.replace(opening, `$1${name}, `)}`);
}

const SIXTH_MINER = `
import type { Miner } from '../core/miner.ts';
import { dataList, userList } from '../core/page.ts';

/** Notes that users keep. */
export const notes: Miner = {
  name: 'notes',
  upstream: 'graph',
  lane: 'bulk',
  schedule: '0 50 */6 * * *',
  cacheTtlMs: 3_600_000,
  request: (userId) => userList(userId, 'notes'),
  page: dataList,
};
`;

describe('a sixth data type is one file and one line of the catalog', () => {
  it('is mined end to end', async () => {
    const root = await copyOfProduct();
    await writeFile(join(root, 'runtime/miners/notes.ts'), SIXTH_MINER);
    await addToCatalog(root, 'miners', 'notes', 'miners/notes.ts');
    const state = join(root, 'state');
    const ended = await adit('start', ['--once', '--json', '--users', '4', '--state', state], { root });
    expect(ended.code, ended.stderr).toBe(0);
    expect(lastJson(ended)).toMatchObject({ lost: 0, duplicate: 0 });
    const exported = await adit('adit', ['export', '--state', state, '--miner', 'notes'], { root });
    expect(exported.code, exported.stderr).toBe(0);
    expect(exported.stdout.split('\n').length).toBeGreaterThan(10);
  });
});

const SECOND_UPSTREAM = `
import type { UpstreamDefinition } from '../core/upstream.ts';

/** A ledger service: pages by Link header, an API key, and no error but 429. */
export const books: UpstreamDefinition = {
  name: 'books',
  authorize: (user) => ({ 'x-api-key': user.accessToken }),
  paginate: (marker, limit) => ({ per_page: String(limit), ...(marker === null ? {} : { page: marker }) }),
  next: (reply) => {
    const link = /<([^>]*)>; *rel="next"/.exec(reply.headers['link'] ?? '');
    if (link === null) return { kind: 'end' };
    const marker = new URL(link[1] ?? '', 'http://unused').searchParams.get('page');
    return marker === null ? { kind: 'broken', reason: 'the next link has no page' } : { kind: 'more', marker };
  },
  classify: (reply) => {
    if (reply.status === 200) return undefined;
    if (reply.status === 429) return { code: 'rate-limit-user', reason: 'slow down' };
    return { code: 'refused', reason: \`status \${reply.status}\` };
  },
  usage: () => [],
};
`;

const BOOKS_MINER = `
import type { Miner } from '../core/miner.ts';

/** Entries of a user's books. */
export const entries: Miner = {
  name: 'entries',
  upstream: 'books',
  lane: 'money',
  schedule: '0 55 */6 * * *',
  cacheTtlMs: 3_600_000,
  pageLimit: 10,
  request: (userId) => ({ path: \`/accounts/\${encodeURIComponent(userId)}/entries\` }),
  page: (body) => {
    if (!Array.isArray(body)) throw new Error('entries are a list');
    return { items: body };
  },
};
`;

const ENTRIES = 47;

/** Answers with every third call refused by 429. */
async function startBooks(): Promise<string> {
  let calls = 0;
  const answer = (request: IncomingMessage, response: ServerResponse): void => {
    calls += 1;
    if (request.headers['x-api-key'] !== 'hush-u1') return void response.writeHead(403).end('{}');
    if (calls % 3 === 0) return void response.writeHead(429).end('{}');
    const url = new URL(request.url ?? '', 'http://books');
    const page = Number(url.searchParams.get('page') ?? 0);
    const size = Number(url.searchParams.get('per_page'));
    const items = Array.from({ length: ENTRIES }, (_, index) => ({ id: `e${index}`, amount: index / 4 }));
    if ((page + 1) * size < ENTRIES) {
      response.setHeader('link', `</accounts/u1/entries?page=${page + 1}>; rel="next"`);
    }
    response.setHeader('content-type', 'application/json');
    response.end(JSON.stringify(items.slice(page * size, (page + 1) * size)));
  };
  const server = createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

describe('a second API is one file in upstreams/', () => {
  it('with Link-header paging, an API key and nothing but 429 is mined end to end', async () => {
    const root = await copyOfProduct();
    await writeFile(join(root, 'runtime/upstreams/books.ts'), SECOND_UPSTREAM);
    await writeFile(join(root, 'runtime/miners/entries.ts'), BOOKS_MINER);
    await addToCatalog(root, 'upstreams', 'books', 'upstreams/books.ts');
    await addToCatalog(root, 'miners', 'entries', 'miners/entries.ts');
    const users = join(root, 'users.ndjson');
    await writeFile(users, '{"userId":"u1","accessToken":"hush-u1"}\n');
    const state = join(root, 'state');
    const url = await startBooks();
    const ended = await adit(
      'start',
      [
        ...['--once', '--json', '--upstream', `books=${url}`, '--users-file', users, '--state', state],
        ...['--set', 'rateLimitWaitMs=20'],
      ],
      { root },
    );
    expect(ended.code, ended.stderr).toBe(0);
    expect(ended.stderr).toMatch(/transactions is left out: its upstream has no address/);
    expect(lastJson(ended)).toMatchObject({ fetched: ENTRIES, new: ENTRIES, lake: ENTRIES });
    const exported = await adit('adit', ['export', '--state', state], { root });
    expect(exported.stdout.trim().split('\n')).toHaveLength(ENTRIES);
    expect(exported.stdout).toMatch(/"data":\{"id":"e1","amount":0.25\}/);
  });
});
