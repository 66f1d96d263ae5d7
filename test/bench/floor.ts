// The least that the job can cost: ask for every page with undici, parse it, append the items to one file. No checkpoint, no
// broker, nothing survives a crash. Prints one JSON line. Options: one JSON line of {url, usersFile, file, concurrency}.
import { open, readFile } from 'node:fs/promises';
import { Agent, request } from 'undici';
import { miners } from '../../runtime/catalog.ts';

interface Options {
  readonly url: string;
  readonly usersFile: string;
  readonly file: string;
  readonly concurrency: number;
}

interface Page {
  readonly data: readonly { readonly id: string }[];
  readonly paging?: { readonly cursors?: { readonly after?: string }; readonly next?: string };
}

interface ListTask {
  readonly userId: string;
  readonly token: string;
  readonly minerName: string;
}

const options = JSON.parse(process.argv[2] ?? '') as Options;
const startedAtMs = performance.now();
const dispatcher = new Agent({ connections: options.concurrency, allowH2: false });
const file = await open(options.file, 'w');
const counts = { pages: 0, items: 0 };

async function readList({ userId, token, minerName }: ListTask): Promise<void> {
  let after: string | undefined;
  do {
    const query = new URLSearchParams({ limit: '100', ...(after === undefined ? {} : { after }) });
    const url = `${options.url}/users/${userId}/${minerName}?${query.toString()}`;
    const answer = await request(url, { dispatcher, headers: { authorization: `Bearer ${token}` } });
    const page = (await answer.body.json()) as Page;
    counts.pages += 1;
    counts.items += page.data.length;
    await file.write(page.data.map((item) => `${JSON.stringify(item)}\n`).join(''));
    after = page.paging?.next === undefined ? undefined : page.paging.cursors?.after;
  } while (after !== undefined);
}

async function work(tasks: ListTask[]): Promise<void> {
  for (let task = tasks.pop(); task !== undefined; task = tasks.pop()) await readList(task);
}

const lines = (await readFile(options.usersFile, 'utf8')).trim().split('\n');
const tasks = lines.flatMap((line) => {
  const user = JSON.parse(line) as { userId: string; accessToken: string };
  return miners.map((miner) => ({ userId: user.userId, token: user.accessToken, minerName: miner.name }));
});
await Promise.all(Array.from({ length: options.concurrency }, () => work(tasks)));
await file.datasync();
await file.close();
await dispatcher.close();
const { user, system } = process.cpuUsage();
const result = {
  ...counts,
  durationMs: Math.round(performance.now() - startedAtMs),
  cpuMs: Math.round((user + system) / 1000),
  peakRssBytes: process.resourceUsage().maxRSS * 1024,
};
process.stdout.write(`${JSON.stringify(result)}\n`);
