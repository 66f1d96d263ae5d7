import { openStateFolder } from '../../../runtime/local/state-folder.ts';

/** Run as a process that a test kills: holds the folder and says so. */
const { dir } = await openStateFolder(process.argv[2] ?? '', { isShared: process.argv[3] === 'shared' });
process.stdout.write(`${dir}\n`);
setInterval(() => undefined, 60_000);
