import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { miners } from '../catalog.ts';
import { entitiesOf } from '../core/route.ts';
import { publishBroker } from './broker-address.ts';
import { type Child, startChild } from './child.ts';

/**
 * A process that serves the entities of the catalog, with its journal in the state folder, whose lock the caller holds; the folder
 * says how it is reached. `port` 0 = any free one.
 * @throws BadInput when it cannot start, for example because its port is in use.
 */
export async function startBroker(stateDir: string, port: number): Promise<Child> {
  const dir = join(stateDir, 'broker');
  await mkdir(dir, { recursive: true });
  const child = await startChild('broker', 'local/broker/main.ts', {
    ...{ stateDir: dir, port, entities: entitiesOf(miners) },
  });
  const takeBack = await publishBroker(stateDir, { connectionString: String(child.ready['connectionString']) });
  return {
    ...child,
    stop: async () => {
      await takeBack();
      await child.stop();
    },
  };
}
