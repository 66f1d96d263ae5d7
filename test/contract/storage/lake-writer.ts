import { openFileLake } from '../../../runtime/adapters/file-lake.ts';

/** Run as a process that a test kills: writes objects for ever and says each name once its write has resolved. */
const [dir = '', lines = '0'] = process.argv.slice(2);
const lake = openFileLake({ dir });

for (let index = 0; ; index += 4) {
  await Promise.all(
    [0, 1, 2, 3].map(async (offset) => {
      const name = `dt=${(index + offset) % 7}/${index + offset}.ndjson.gz`;
      await lake.write(name, `${name}\n`.repeat(Number(lines)));
      process.stdout.write(`${name}\n`);
    }),
  );
}
